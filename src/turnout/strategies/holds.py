"""Steps that wait at a weight: for a verdict on live traffic, for time to pass, for a yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step
from turnout.wire.project import Intent
from turnout.wire.rollout import Reaction

PATIENCE = 10.0
"""An undecided verdict may take this many times the least time, unless ``max_hold`` is set."""
APPROVAL_S = 86400.0
"""Seconds until a missing approval ends the deployment; as a gate's default."""


@dataclass(frozen=True)
class Pair:
    """Who is compared with whom.

    Attributes:
        candidate: The revision on trial.
        control: What it is compared with: the baseline, or the live revision.
        weight: The candidate's percent of all traffic; 0 while it only gets copies.
        control_weight: The control's.
        history: Whether the control's record before the switch is what counts.
    """

    candidate: str
    control: str
    weight: int
    control_weight: int
    history: bool = False


def judged(
    phase: Phase,
    intent: Intent,
    pair: Pair,
    seconds: float,
    *,
    max_seconds: float | None = None,
    min_requests: int | None = None,
    on_unknown: Reaction | None = None,
) -> Step:
    """Return a hold that goes on when the verdict allows it.

    Args:
        phase: The phase of the step.
        intent: Whose analysis settings fill in what is None here.
        pair: Who is compared.
        seconds: At least so long.
        max_seconds: At most so long; None: ten times *seconds*.
        min_requests: Candidate requests without which nothing is judged.
        on_unknown: What follows at the end of *max_seconds*.
    """
    traffic = f"at {pair.weight} %" if pair.weight else "on mirrored traffic"
    longest = max(seconds, seconds * PATIENCE if max_seconds is None else max_seconds)
    return _hold(
        phase,
        intent,
        pair,
        f"hold {traffic} for {seconds:g} s and judge",
        seconds=seconds,
        max_seconds=longest,
        min_requests=min_requests or intent.rollout.analysis.min_requests,
        on_unknown=on_unknown or intent.rollout.analysis.on_unknown,
    )


def pause(phase: Phase, intent: Intent, pair: Pair, seconds: float) -> Step:
    """Return a hold in which time passes and nothing is judged."""
    return _hold(
        phase,
        intent,
        pair,
        f"pause at {pair.weight} % for {seconds:g} s",
        seconds=seconds,
        max_seconds=seconds,
        min_requests=0,
        on_unknown="continue",
        on_unavailable="continue",
        judge=False,
    )


def approval(phase: Phase, intent: Intent, pair: Pair, next_weight: int) -> Step:
    """Return a hold that ends when somebody approves the next weight; a bad verdict ends it too."""
    return _hold(
        phase,
        intent,
        pair,
        f"wait for approval of {next_weight} %",
        seconds=0.0,
        max_seconds=APPROVAL_S,
        min_requests=intent.rollout.analysis.min_requests,
        on_unknown="continue",
        approval=True,
        judge=pair.weight > 0,
    )


def _hold(phase: Phase, intent: Intent, pair: Pair, title: str, **args: Any) -> Step:
    complete = {
        "seconds": 0.0,
        "max_seconds": 0.0,
        "min_requests": 0,
        "on_unknown": "hold",
        "on_unavailable": intent.rollout.analysis.on_unavailable,
        "weight": pair.weight,
        "candidate": pair.candidate,
        "control": pair.control,
        "control_weight": pair.control_weight,
        "history": pair.history,
        "approval": False,
        "judge": True,
    }
    return Step(phase, Action.HOLD, title, args={**complete, **args})
