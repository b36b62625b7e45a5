"""A command on disk: what is wanted, what its keeper said, and how it ended.

While it may still run it has a directory ``ID``: the record, the keeper's lock and status, a
private copy of the release in ``tree``, its ``home`` and ``tmp``, its log, and from the moment
before it begins the file ``begun``.  How it ended stands beside that in ``ID.json``, which is
written first and makes the directory waste.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.agent import keepers, records
from turnout.agent.launch import Status, surroundings
from turnout.base.logs import scrub, secret_values
from turnout.wire import agent as wire
from turnout.wire.model import Message, Report

TAIL = 20
"""Lines of its output that are told."""
LINE_CHARS = 1000
"""Of each of them."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for a command that takes too long."""
OPEN_FILES = 65536


class Record(Message):
    """One wanted command as it stands on disk; it holds the project's variables, so mode 0600."""

    wanted: wire.CommandWanted
    keeper: dict[str, Any]
    """What the keeper reads."""


class Outcome(Report):
    """How a command ended.

    Attributes:
        revision: What it was run for; the outcome is pruned with it.
        release: In whose tree.
        command: The digest of its argument vector, by which another one is told apart.
        at: When that was written down, seconds since 1970.
        result: None if it is not known: it was begun, and killed together with its keeper.
    """

    revision: str
    release: str
    command: str
    at: float
    result: wire.CommandResult | None


@dataclass(frozen=True)
class CommandFiles:
    """Where one command has what.

    Attributes:
        directory: Its directory, named by its id.
    """

    directory: Path

    @property
    def spec(self) -> Path:
        return self.directory / "spec.json"

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def lock(self) -> Path:
        return self.directory / "keeper.lock"

    @property
    def end(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.json")

    @property
    def begun(self) -> bool:
        """Whether a keeper has begun it, so that none may begin it again."""
        return (self.directory / "begun").exists()

    @property
    def kept(self) -> bool:
        """Whether its keeper lives."""
        return keepers.holder(self.lock) is not None

    def record(self) -> Record | None:
        """Return what is wanted, or None if that was not yet written down."""
        return records.read_as(self.spec, Record)

    def outcome(self) -> Outcome | None:
        """Return how it ended, or None while that is open."""
        return records.read_as(self.end, Outcome)

    def prepare(self, wanted: wire.CommandWanted) -> None:
        """Write down what is wanted; the private copy stands in its place already."""
        for part in ("home", "tmp"):
            (self.directory / part).mkdir(mode=0o700, exist_ok=True)
        records.write(self.spec, Record(wanted=wanted, keeper=self._keeper_spec(wanted)))

    def result(self) -> wire.CommandResult | None:
        """Return what the keeper said of the end; None if it did not live to say it."""
        status = records.read_as(self.directory / "status.json", Status)
        if status is None or status.state != "ended" or status.exit_code is None:
            return None
        return wire.CommandResult(
            exit_code=status.exit_code,
            timed_out=status.timed_out,
            took_s=status.took_s,
            tail=(*self._told(), *([status.error] if status.error else [])),
        )

    def _told(self) -> tuple[str, ...]:
        """Return the last lines as they may be shown: without secrets, and none very long."""
        record = self.record()
        hidden = secret_values(record.wanted.variables) if record else ()
        return tuple(scrub(text, hidden)[:LINE_CHARS] for text in self._tail())

    def _tail(self) -> tuple[str, ...]:
        """Return the last lines that the command wrote, of both its streams."""
        files = sorted((self.directory / "logs").glob("*.jsonl"), reverse=True)
        found: list[str] = []
        for path in files:
            found = [*_texts(path), *found][-TAIL:]
            if len(found) == TAIL:
                break
        return tuple(found)

    def _keeper_spec(self, wanted: wire.CommandWanted) -> dict[str, Any]:
        return {
            "instance": f"{wanted.scope}/{wanted.id}",
            "argv": list(wanted.command),
            "cwd": str(self.tree),
            "environment": surroundings(
                wanted.scope, wanted.release, wanted.variables, self.directory
            ),
            "begun": str(self.directory / "begun"),
            "timeout": wanted.timeout,
            "status": str(self.directory / "status.json"),
            "lock": str(self.lock),
            "stop": str(self.directory / "stop.json"),
            "logs": str(self.directory / "logs"),
            "stop_grace": GRACE,
            "open_files": OPEN_FILES,
        }


def _texts(path: Path) -> Iterator[str]:
    for line in path.read_bytes().splitlines():
        try:
            document = json.loads(line)
            stream, text = document["stream"], str(document["text"])
        except (ValueError, TypeError, KeyError):
            continue  # a line that a power cut left half-written
        if stream != "turnout":
            yield text
