"""How far a deployment is: its phases, and the step under way, out of the events."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from turnout.cli import waits
from turnout.cli.problems import placed
from turnout.cli.values import show_duration
from turnout.domain.phases import Kind, phases_of
from turnout.wire.api import DeploymentDetail, Event

_ROUTINE = ("queued", "planned", "finished", "waiting", "going_on")
"""What every deployment goes through; a log of one need not say it."""

_WAITS = ("gate.waiting", "hold.started", "hold.extended", "deployment.frozen")
"""Events that begin a wait."""

_LONG_S = 2.0
"""A wait in the queue that a log says."""


@dataclass
class PhaseLine:
    """One phase as it is shown.

    Attributes:
        name: Its name.
        status: Its status.
        step: The title of its step under way.
        began: When it began, by the server's clock.
        took: Seconds from its beginning to its end.
        blamed: The title of its step that failed and is not tried again.
    """

    name: str
    status: str = "pending"
    step: str = ""
    began: datetime | None = None
    took: float | None = None
    blamed: str = ""


@dataclass
class Board:
    """The state of one deployment as its events tell it.

    Attributes:
        deployment: Its identifier.
        title: What is going on, in one line.
        status: The deployment's status.
        phases: In their order.
        created: When it was asked for, by the server's clock.
        wait: What it waits for, with the commands that end it; empty if for nothing.
        away: Whether the server is away at the moment.
    """

    deployment: str
    title: str
    status: str
    phases: list[PhaseLine]
    created: datetime | None = None
    wait: str = ""
    away: bool = False
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, detail: DeploymentDetail) -> Board:
        """Return the board of a deployment as it is now."""
        names = [phase.value for phase in phases_of(Kind(detail.kind))]
        lines = {name: PhaseLine(name) for name in names}
        for phase in detail.phases:
            lines[phase.name] = PhaseLine(phase.name, phase.status)
        place, release = f"{detail.project}/{detail.environment}", detail.release[:12]
        title = f"Deploying {release} to {place}"
        if detail.kind == "rollback":
            title = f"Rolling back {place} to {release}"
        if detail.drill:
            title = f"Rehearsing a rollback of {place} to {release}"
        board = cls(detail.id, title, detail.status, list(lines.values()), detail.created_at)
        if detail.waiting_for is not None:
            board.wait = "; ".join(waits.waiting_lines(detail.id, detail.waiting_for))
        return board

    def apply(self, event: Event) -> str:
        """Take *event* in and return it as a line for a log.

        The line is empty for what goes as it should: a log has a line for each phase that
        ended, for each step that is repeated or could not be taken back, and for each wait.
        """
        data = event.data
        group, _, what = event.kind.partition(".")
        if line := waits.event_line(self.deployment, event.kind, data):
            if event.kind in _WAITS:
                self.wait = line
            return line
        if group == "phase":
            return self._phase(what, data, event.at)
        if group == "step":
            return self._step(what, data)
        if group == "deployment":
            self.status = str(data.get("status", self.status))
            if what == "going_on":
                self.wait = ""
            if what == "started":
                return self._waited(event.at)
            return "" if what in _ROUTINE else _plain(what, data)
        return ""

    def _waited(self, started: datetime) -> str:
        seconds = 0.0 if self.created is None else (started - self.created).total_seconds()
        return f"queue: {show_duration(seconds)}, its turn now" if seconds >= _LONG_S else ""

    def _phase(self, what: str, data: dict[str, Any], at: datetime) -> str:
        line = self._line(str(data.get("phase", "")))
        if what == "started":
            line.status, line.began, line.took = "running", at, None
            return ""
        line.status = str(data.get("status", "done"))
        line.step = ""
        if line.began is not None:
            line.took = max(0.0, (at - line.began).total_seconds())
        took = "" if line.took is None else f", {show_duration(line.took)}"
        blamed = f": {line.blamed}" if line.blamed else ""
        return f"{line.name}: {line.status}{took}{blamed}"

    def _step(self, what: str, data: dict[str, Any]) -> str:
        name = str(data.get("phase", ""))
        title = placed(str(data.get("title") or data.get("action") or ""), data.get("host"))
        error = str(data.get("error", "")).partition("\n")[0]
        line = self._line(name)
        line.step = title
        if what == "failed":
            line.blamed = title  # told at the end of the phase; the outcome says why
        if what == "retry":
            line.blamed = ""
            return f"{name}: {title}: again in {data.get('delay_s', 0)} s: {error}"
        if what == "undo_failed":
            return f"{name}: NOT taken back: {title}: {error}"
        return ""

    def _line(self, name: str) -> PhaseLine:
        for line in self.phases:
            if line.name == name:
                return line
        # An automatic rollback brings phases of its own.
        self.phases.append(PhaseLine(name))
        return self.phases[-1]


def _plain(what: str, data: dict[str, Any]) -> str:
    reason = str(data.get("reason") or "")
    return f"deployment: {what.replace('_', ' ')}" + (f": {reason}" if reason else "")
