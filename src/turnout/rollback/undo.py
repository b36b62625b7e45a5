"""The plan of an automatic rollback: the steps that were done, taken back newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step, Undo


@dataclass(frozen=True)
class UndoStep:
    """One thing to take back.

    Attributes:
        position: The position in its plan of the step that is taken back.
        phase: The rollback's phase in which it is taken back.
        host: Where, as in the step.
        undo: How.
    """

    position: int
    phase: Phase
    host: str | None
    undo: Undo


@dataclass(frozen=True)
class UndoPlan:
    """What a failed deployment takes back.

    Attributes:
        traffic_moved: Whether the new release may have answered live requests.
        steps: In the order in which they run; traffic goes back before anything stops.
    """

    traffic_moved: bool
    steps: tuple[UndoStep, ...]


def undo_plan(begun: Sequence[tuple[int, Step]]) -> UndoPlan:
    """Return how *begun* steps are taken back.

    Args:
        begun: Position and step of every step that was begun, done or not: one that failed
            half-way has to be taken back like one that was done.
    """
    newest_first = sorted(begun, key=lambda entry: entry[0], reverse=True)
    steps = [
        UndoStep(position, Phase.EXECUTION, step.host, step.undo)
        for position, step in newest_first
        if step.undo is not None
    ]
    moved = any(step.action is Action.SWITCH for _, step in begun)
    return UndoPlan(traffic_moved=moved, steps=tuple(steps))
