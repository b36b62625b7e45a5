"""Canary: a small share of the traffic first, more as it proves itself, then all of it.

Whatever fails, the first step that is taken back gives all traffic to the live release at
once.  With a baseline, fresh instances of the live release get as much traffic as the
candidate, so that like is compared with like (Davidovic and Beyer, "Canary Analysis Service",
ACM Queue 16(1), 2018).
"""

from __future__ import annotations

from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.splits import baseline_revision
from turnout.domain.steps import Step
from turnout.strategies import gates, holds, simple
from turnout.strategies.canary_parts import Canary
from turnout.strategies.frame import Course, Move
from turnout.wire.project import Intent
from turnout.wire.rollout import CanaryStep


def course(state: ScopeState, revision: Revision, intent: Intent) -> Course:
    """Return the course of a canary deployment; another revision is live."""
    assert state.live is not None
    spec = intent.rollout.canary
    live, notes = state.live, list[str]()
    first = spec.auto.first if spec.steps == "auto" else spec.steps[0].weight
    baseline = None
    if spec.baseline and (live.static or revision.static):
        notes.append(
            "A static site has no instances that could be older or younger: the candidate is"
            " compared with the live release itself."
        )
    elif spec.baseline and first < 100:
        baseline = baseline_revision(live.revision, revision.revision)
    scale = spec.scale and spec.steps != "auto" and not revision.static
    if spec.scale and spec.steps == "auto":
        notes.append("An automatic schedule starts every instance beforehand.")
    canary = Canary(state, live, revision, intent, baseline, scale)
    staging = canary.bring() + canary.start(first, Phase.STAGING)
    moves = _ramped(canary, intent) if spec.steps == "auto" else _stepped(canary, spec.steps)
    return Course(
        strategy="canary",
        staging=tuple(staging),
        validation=tuple(canary.validate()),
        prelude=tuple(simple.mirrored(state, revision, intent, spec.mirror, spec.mirror_hold)),
        moves=tuple(moves),
        gone=frozenset({baseline} if baseline else ()),
        notes=tuple(notes),
    )


def _stepped(canary: Canary, steps: tuple[CanaryStep, ...]) -> list[Move]:
    """Return the moves of a written schedule, and the one to all traffic at its end."""
    moves, reached = [], 0
    for step in steps:
        before: tuple[Step, ...] = ()
        after: tuple[Step, ...] = ()
        if step.approval:
            pair = canary.pair(reached)
            before = (holds.approval(Phase.PROMOTION, canary.intent, pair, step.weight),)
        if step.hold:
            after = (
                holds.judged(
                    Phase.PROMOTION,
                    canary.intent,
                    canary.pair(step.weight),
                    step.hold,
                    max_seconds=step.max_hold,
                    min_requests=step.min_requests,
                    on_unknown=step.on_unknown,
                ),
            )
        moves.append(Move(step.weight, tuple(canary.move(step.weight)), after, before))
        reached = step.weight
    if reached < 100:
        moves.append(Move(100, tuple(canary.move(100))))
    return moves


def _ramped(canary: Canary, intent: Intent) -> list[Move]:
    """Return the first weight, ramps between the gates, and the switch to all traffic."""
    first = intent.rollout.canary.auto.first
    gated = set(gates.thresholds(intent))
    stops = [first, *sorted(weight for weight in gated | {100} if weight > first)]
    moves = []
    for weight, following in zip(stops, [*stops[1:], None], strict=True):
        after: tuple[Step, ...] = ()
        if following is not None:
            # A ramp ends right before the weight that a gate guards.
            top = following - 1 if following in gated else following
            after = (canary.ramp(weight, top),) if top > weight else ()
        moves.append(Move(weight, tuple(canary.move(weight)), after))
    return moves
