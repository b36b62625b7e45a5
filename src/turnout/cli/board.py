"""How far a deployment is: its phases, and the step under way, out of the events."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from turnout.cli.problems import placed
from turnout.domain.phases import Kind, phases_of
from turnout.wire.api import DeploymentDetail, Event


@dataclass
class PhaseLine:
    """One phase as it is shown."""

    name: str
    status: str = "pending"
    step: str = ""
    began: float | None = None
    took: float | None = None


@dataclass
class Board:
    """The state of one deployment as its events tell it.

    Attributes:
        deployment: Its identifier.
        title: What is going on, in one line.
        status: The deployment's status.
        phases: In their order.
        away: Whether the server is away at the moment.
    """

    deployment: str
    title: str
    status: str
    phases: list[PhaseLine]
    away: bool = False
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, detail: DeploymentDetail) -> Board:
        """Return the board of a deployment as it is now."""
        names = [phase.value for phase in phases_of(Kind(detail.kind))]
        lines = {name: PhaseLine(name) for name in names}
        for phase in detail.phases:
            lines[phase.name] = PhaseLine(phase.name, phase.status)
        verb = "Rolling back" if detail.kind == "rollback" else "Deploying"
        place = f"{detail.project}/{detail.environment}"
        title = f"{verb} {place} to {detail.release[:12]}"
        return cls(detail.id, title, detail.status, list(lines.values()))

    def apply(self, event: Event) -> str:
        """Take *event* in and return it as a line for a log; empty if it tells nothing new."""
        data = event.data
        group, _, what = event.kind.partition(".")
        if group == "phase":
            return self._phase(what, data)
        if group == "step":
            return self._step(what, data)
        if group == "deployment":
            self.status = str(data.get("status", self.status))
            return "" if what == "finished" else _plain(what, data)
        return ""

    def _phase(self, what: str, data: dict[str, Any]) -> str:
        line = self._line(str(data.get("phase", "")))
        if what == "started":
            line.status, line.began, line.took = "running", time.monotonic(), None
            return f"{line.name}: started"
        line.status = str(data.get("status", "done"))
        line.step = ""
        if line.began is not None:
            line.took = time.monotonic() - line.began
        return f"{line.name}: {line.status}"

    def _step(self, what: str, data: dict[str, Any]) -> str:
        name = str(data.get("phase", ""))
        title = placed(str(data.get("title") or data.get("action") or ""), data.get("host"))
        error = str(data.get("error", "")).partition("\n")[0]
        self._line(name).step = title
        if what == "started":
            again = f" (attempt {data['attempt']})" if int(data.get("attempt") or 1) > 1 else ""
            return f"{name}: {title}{again}"
        if what == "retry":
            return f"{name}: {title}: again in {data.get('delay_s', 0)} s: {error}"
        if what == "done":
            return ""
        words = {"undoing": "taking back", "undone": "taken back", "undo_failed": "NOT taken back"}
        return f"{name}: {words.get(what, what)}: {title}" + (f": {error}" if error else "")

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
