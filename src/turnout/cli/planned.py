"""A plan as people read it before they say yes: what it waits for, what cannot be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnout.cli.problems import placed, visible
from turnout.cli.rendering import NO_RETURN
from turnout.wire.api import PlanDocument, PlannedStep

_NO_RETURN_NOTE = "Point of no return:"
_WAITS = {
    "gate": "gates, which have to say yes:",
    "hold": "holds, in which live traffic is judged or time passes:",
    "ramp": "a schedule that follows the evidence:",
    "verify": "verification:",
    "command": "commands of the project:",
}
"""Actions that somebody who approves wants to know of, in the order in which they are told."""


def plan_lines(plan: PlanDocument) -> Iterator[str]:
    """Yield what a deployment would run: first what matters to who approves, then every step."""
    now = plan.live_release[:12] if plan.live_release else "nothing"
    yield f"{plan.kind} of {plan.release[:12]} to {plan.project}/{plan.environment}, {plan.strategy}"
    yield f"live now: {now}; {len(plan.steps)} steps; plan {plan.digest[:12]}"
    yield from _in_words(plan)
    phase, passed = "", False
    for step in plan.steps:
        if step.phase != phase:
            phase = step.phase
            yield f"{phase}:"
        if step.irreversible and not passed:
            passed = True
            yield NO_RETURN
        title = placed(step.title, step.host)
        undo = f"  (taken back by: {step.undo})" if step.undo else ""
        yield visible(f"  {step.index + 1:>3}. {title}{undo}")


def _in_words(plan: PlanDocument) -> Iterator[str]:
    for note in plan.notes:
        yield visible(f"note: {note}")
    irreversible = [step for step in plan.steps if step.irreversible]
    if irreversible and not any(note.startswith(_NO_RETURN_NOTE) for note in plan.notes):
        yield visible(
            f"{_NO_RETURN_NOTE} step {irreversible[0].index + 1}, {irreversible[0].title}"
        )
    for action, heading in _WAITS.items():
        found = [step for step in plan.steps if step.action == action]
        if found:
            yield heading
            yield from _listed(found)


def _listed(steps: Sequence[PlannedStep]) -> Iterator[str]:
    for step in steps:
        yield visible(f"  step {step.index + 1}: {placed(step.title, step.host)}")
