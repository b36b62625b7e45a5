"""Traffic for the judge: ticks with the counts one says, and a seeded draw."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from turnout.monitoring import analysis
from turnout.monitoring.analysis import ArmCounts, Measure, Policy, State, Tick

ERRORS = Policy(measures=(Measure("error_rate", "errors", max_increase=0.0, within=0.005),))
PLAIN = Policy(measures=ERRORS.measures, guard=False)


def minutes(counts: Sequence[tuple[int, int]], requests: int = 600) -> list[Tick]:
    """Return a tick a minute with these errors of the candidate and of the control."""
    return [
        Tick(60.0 * place, ArmCounts(requests, ours), ArmCounts(requests, theirs), 0.5)
        for place, (ours, theirs) in enumerate(counts, 1)
    ]


def told(policy: Policy, ticks: Sequence[Tick]) -> State:
    """Return the judge's state after the ticks."""
    state = analysis.start(policy, at=0.0)
    for tick in ticks:
        state = analysis.observe(state, tick)
    return state


def bad_at(policy: Policy, ticks: Sequence[Tick]) -> float | None:
    """Return the minute at which the judge first says *bad*."""
    state = analysis.start(policy, at=0.0)
    for tick in ticks:
        state = analysis.observe(state, tick)
        if analysis.verdict(state).verdict == "bad":
            return state.at / 60
    return None


def poisson(draw: random.Random, mean: float) -> int:
    """Draw a Poisson count (Knuth); for small means."""
    count, left, end = 0, draw.random(), math.exp(-mean)
    while left > end:
        left *= draw.random()
        count += 1
    return count
