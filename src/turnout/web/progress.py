"""How far a deployment is: its phases and steps, and the line behind which nothing goes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from turnout.domain.phases import Kind, phases_of
from turnout.domain.transitions import ENDED, Status
from turnout.web.words import Tone, duration, number, say, tone
from turnout.wire.api import DeploymentDetail, PhaseDocument, StepDocument

_UNDOING = "rollback."
"""What the phases of an automatic rollback begin with; they stand behind the deployment's."""
_MOST_FACTS = 12
_SYMBOLS = {
    "pending": "○",
    "running": "◐",
    "done": "✓",
    "failed": "✕",
    "undoing": "↶",
    "undone": "↺",
    "undo_failed": "✕",
    "stopped": "■",
}


@dataclass(frozen=True)
class StepView:
    """One step.

    Attributes:
        number: From 1, as people count.
        symbol: Its state as a sign, so that colour alone says nothing.
        again: How often it was tried, if more than once.
        facts: What it found, as far as it is short.
        line_before: The point of no return is just before it.
    """

    number: int
    title: str
    action: str
    host: str
    status: str
    tone: Tone
    symbol: str
    took: str
    again: str
    error: str
    undo: str
    irreversible: bool
    facts: tuple[tuple[str, str], ...]
    line_before: bool


@dataclass(frozen=True)
class PhaseView:
    """One phase with its steps."""

    key: str
    name: str
    status: str
    tone: Tone
    symbol: str
    took: str
    done: int
    undone: int
    steps: tuple[StepView, ...]
    is_open: bool
    undoing: bool
    has_line: bool
    """The point of no return is in it."""


def phases(detail: DeploymentDetail, now: datetime) -> tuple[PhaseView, ...]:
    """Return the phases in their order, those to come included."""
    documents = detail.phases or tuple(
        PhaseDocument(name=phase.value, status="pending") for phase in phases_of(Kind(detail.kind))
    )
    steps = _steps(detail, now)
    # Who is asked for an approval reads what is to come.
    asked = detail.waiting_for is not None and detail.waiting_for.kind == "approval"
    return tuple(_phase(document, steps, now, asked) for document in documents)


def _phase(
    document: PhaseDocument, steps: list[tuple[str, StepView]], now: datetime, asked: bool
) -> PhaseView:
    mine = tuple(step for phase, step in steps if phase == document.name)
    undoing = document.name.startswith(_UNDOING)
    has_line = any(step.line_before for step in mine)
    name = document.name.removeprefix(_UNDOING)
    return PhaseView(
        key=document.name.replace(".", "-"),
        name=name.capitalize(),
        status=document.status,
        tone=tone(document.status),
        symbol=_SYMBOLS[document.status],
        took=_took(document.started_at, document.finished_at, now),
        done=sum(step.status == "done" for step in mine),
        undone=sum(step.status == "undone" for step in mine),
        steps=mine,
        is_open=document.status in ("running", "failed")
        or any(step.tone in ("bad", "wait") for step in mine)
        or (document.status == "pending" and (has_line or asked)),
        undoing=undoing,
        has_line=has_line,
    )


def _steps(detail: DeploymentDetail, now: datetime) -> list[tuple[str, StepView]]:
    over = Status(detail.status) in ENDED
    return [(step.phase, _step(step, detail.no_return_at, now, over)) for step in detail.steps]


def _step(step: StepDocument, no_return_at: int | None, now: datetime, over: bool) -> StepView:
    # One that had nothing to take back is left as it was when somebody called it off.
    stopped = over and step.status == "running"
    status = "stopped" if stopped else step.status
    # Of one that was taken back only the end of that is known.
    timed = not stopped and step.status != "undone"
    return StepView(
        number=step.index + 1,
        title=step.title,
        action=step.action,
        host=step.host or "",
        status=say(status),
        tone=tone(status),
        symbol=_SYMBOLS[status],
        took=_took(step.started_at, step.finished_at, now) if timed else "",
        again=_again(step),
        error=step.error,
        undo=step.undo or "",
        irreversible=step.irreversible,
        facts=tuple(_facts(step.result.items()))[:_MOST_FACTS],
        line_before=step.index == no_return_at,
    )


def _again(step: StepDocument) -> str:
    return f"attempt {step.attempts}" if step.attempts > 1 else ""


def _took(started: datetime | None, finished: datetime | None, now: datetime) -> str:
    if started is None:
        return ""
    return duration(max(0.0, ((finished or now) - started).total_seconds()))


def _facts(items: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    for name, value in items:
        if isinstance(value, bool):
            yield say(name), "yes" if value else "no"
        elif isinstance(value, int | float):
            yield say(name), number(value)
        elif isinstance(value, str) and 0 < len(value) <= 200:
            yield say(name), value
