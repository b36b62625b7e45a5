"""The plan of an automatic rollback: the steps that were done, taken back newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step, Undo

_MOVES = (Action.SWITCH, Action.RAMP)


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
        frozen: The title of the step past which nothing goes back by itself, if it was begun:
            then there are no steps, traffic stays where it is, and a human is called.
        live_disturbed: Whether the live release lost traffic or instances, so that it has to be
            seen to answer afterwards; so it is before the new one had any traffic when the old
            one is stopped first.
        prepare_live: Whether all instances of the live release may be started before anything is
            taken back.  Not when the steps restore them one by one: then room, or an app that
            cannot run twice, forbids it.
    """

    traffic_moved: bool
    steps: tuple[UndoStep, ...]
    frozen: str | None = None
    live_disturbed: bool = False
    prepare_live: bool = False


def undo_plan(begun: Sequence[tuple[int, Step]], *, beyond: bool = False) -> UndoPlan:
    """Return how *begun* steps are taken back.

    Args:
        beyond: Whether a human wants them taken back past the point of no return.
        begun: Position and step of every step that was begun, done or not: one that failed
            half-way has to be taken back like one that was done.
    """
    in_order = sorted(begun, key=lambda entry: entry[0])
    done = [step for _, step in in_order]
    moved = any(step.action in _MOVES for step in done)
    restored = any(step.undo is not None and step.undo.action is Action.RESTORE for step in done)
    disturbed = moved or restored or any(step.action is Action.SWITCH_OFF for step in done)
    line = next((step.title for step in done if step.irreversible), None)
    if line is not None and not beyond:
        return UndoPlan(moved, (), frozen=line, live_disturbed=disturbed)
    steps = [
        UndoStep(position, Phase.EXECUTION, step.host, step.undo)
        for position, step in reversed(in_order)
        if step.undo is not None
    ]
    return UndoPlan(
        moved, tuple(steps), live_disturbed=disturbed, prepare_live=moved and not restored
    )
