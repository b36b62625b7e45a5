"""Blue-green: the new release runs whole beside the live one, then all traffic moves at once.

After Humble and Farley, "Continuous Delivery" (2010), chapter 10.
"""

from __future__ import annotations

from dataclasses import replace

from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Step
from turnout.strategies import holds, simple
from turnout.strategies.frame import Course
from turnout.wire.project import Intent


def course(state: ScopeState, revision: Revision, intent: Intent) -> Course:
    """Return the course of a blue-green deployment; another revision is live."""
    assert state.live is not None
    spec = intent.rollout.blue_green
    after: tuple[Step, ...] = ()
    if spec.analyse_after:
        pair = holds.Pair(revision.revision, state.live.revision, 100, 0, history=True)
        after = (holds.judged(Phase.VERIFICATION, intent, pair, spec.analyse_after),)
    return replace(
        simple.course(state, revision, intent, "blue-green"),
        prelude=tuple(simple.mirrored(state, revision, intent, spec.mirror, spec.analyse_before)),
        verification=after,
    )
