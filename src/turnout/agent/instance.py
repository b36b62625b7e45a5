"""One instance as it stands on disk: what is wanted, and what its keeper last said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from turnout.agent import keepers, records
from turnout.agent.launch import Record, Status
from turnout.wire import agent as wire

Admission = Literal["waiting", "admitted", "draining"]
"""Whether the router sends an instance requests: not yet, yes, or only no new ones any more."""

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
        admission: Whether it gets requests.
    """

    directory: Path
    record: Record
    status: Status
    kept: bool
    admission: Admission = "admitted"

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
            draining=self.admission == "draining",
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
        directory,
        record,
        status,
        keepers.holder(directory / "keeper.lock") is not None,
        _admission(directory),
    )


def admit(directory: Path, admission: Admission) -> None:
    """Write down whether the instance in *directory* gets requests.

    It stands beside the record, so it outlives crashes of the app, its keeper, the agent and
    the machine: an app that is started again where it was keeps its place in the router, which
    tries another instance when a connection is refused.

    Raises:
        Exhausted: The disk is full; what was written before stays.
    """
    records.write(directory / "admission.json", {"state": admission})


def _admission(directory: Path) -> Admission:
    """Return what :func:`admit` wrote; an instance of an agent that wrote nothing has requests."""
    state = (records.read(directory / "admission.json") or {}).get("state")
    return cast(Admission, state) if state in get_args(Admission) else "admitted"
