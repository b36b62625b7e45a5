"""One instance as it stands on disk: what is wanted, and what its keeper last said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnout.agent import keepers, records
from turnout.agent.launch import Record, Status
from turnout.wire import agent as wire

PORT_ATTEMPTS = 3
"""Ports that are tried after the first turned out to be taken."""


@dataclass(frozen=True)
class Instance:
    """One wanted instance, as it is on disk now.

    Attributes:
        directory: Its directory.
        record: What is wanted.
        status: What its keeper last said.
        kept: Whether its keeper lives.
    """

    directory: Path
    record: Record
    status: Status
    kept: bool

    @property
    def exhausted(self) -> bool:
        """Whether every port that was tried for it was taken."""
        return self.status.state == "port-taken" and self.record.attempts >= PORT_ATTEMPTS

    def fact(self) -> wire.InstanceFact:
        """Return it as the coordinator sees it."""
        wanted, status = self.record.wanted, self.status
        if not self.kept:
            state = "exited" if status.state == "port-taken" else "lost"
        else:
            state = "running" if status.state == "stopping" else status.state
        return wire.InstanceFact(
            scope=wanted.scope,
            revision=wanted.revision,
            release=wanted.release,
            index=wanted.index,
            address=self.record.address,
            state=state,  # type: ignore[arg-type]  # the remaining states have the same names
            pid=status.pid if self.kept else None,
            restarts=status.restarts,
            exit_code=status.exit_code,
            started_at=status.started_at,
        )


def read(directory: Path, *, even_if_gone: bool = False) -> Instance | None:
    """Return the instance in *directory*; None if there is none, or it is to go.

    Args:
        even_if_gone: Return it also while it is being removed.
    """
    if not even_if_gone and (directory / "gone").exists():
        return None
    record = records.read_as(directory / "spec.json", Record)
    if record is None:
        return None
    status = records.read_as(directory / "status.json", Status) or Status()
    return Instance(
        directory, record, status, keepers.holder(directory / "keeper.lock") is not None
    )
