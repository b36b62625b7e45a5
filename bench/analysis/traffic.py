"""Simulated traffic of two releases: ticks as the judge gets them, and minutes for the others."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from turnout.monitoring.analysis import BOUNDS_MS, ArmCounts, Tick

TICK_S = 5
PER_MINUTE = 60 // TICK_S
MINUTES = 60

_LOG_STEP = math.log(BOUNDS_MS[2]) / 2

Minutes = list[float]
"""One number for each minute of a trace."""
Shape = Callable[[random.Random], tuple[Minutes, Minutes]]
"""Draws what the candidate's and the control's rate (or latency) is multiplied by, by minute."""


@dataclass(frozen=True)
class Arm:
    """How one release answers.

    Attributes:
        per_minute: Requests.
        errors: Share of them that fails.
        median: Of the latency, in milliseconds; None: latency is not simulated.
        spread: Standard deviation of the latency's logarithm.
    """

    per_minute: float = 600.0
    errors: float = 0.005
    median: float | None = None
    spread: float = 0.5


def steady(_: random.Random) -> tuple[Minutes, Minutes]:
    """Draw rates that do not move."""
    return [1.0] * MINUTES, [1.0] * MINUTES


@dataclass(frozen=True)
class Trace:
    """A kind of traffic.

    Attributes:
        name: For the table.
        candidate: The release on trial.
        control: What it is compared with.
        healthy: Whether the candidate is no worse.
        errors: What the error rates are multiplied by.
        latency: What the latencies are multiplied by.
        bursts: What the requests are multiplied by.
        offset: Seconds by which the trace's minutes are off the judge's.
    """

    name: str
    candidate: Arm = field(default_factory=Arm)
    control: Arm = field(default_factory=Arm)
    healthy: bool = True
    errors: Shape = steady
    latency: Shape = steady
    bursts: Shape = steady
    offset: int = 0

    def ticks(self, draw: random.Random) -> list[Tick]:
        """Draw an hour of this traffic."""
        errors, latency, bursts = self.errors(draw), self.latency(draw), self.bursts(draw)
        share = self.candidate.per_minute / (self.candidate.per_minute + self.control.per_minute)
        found = []
        for step in range(MINUTES * PER_MINUTE):
            minute = min(MINUTES - 1, (step * TICK_S + self.offset) // 60)
            arms = [
                _answer(draw, arm, errors[i][minute], latency[i][minute], bursts[i][minute])
                for i, arm in enumerate((self.candidate, self.control))
            ]
            found.append(Tick(float((step + 1) * TICK_S), arms[0], arms[1], share))
        return found


def by_minute(ticks: list[Tick]) -> Iterator[tuple[ArmCounts, ArmCounts]]:
    """Yield both arms' counts, minute by minute."""
    for start in range(0, len(ticks), PER_MINUTE):
        candidate, control = ArmCounts(), ArmCounts()
        for tick in ticks[start : start + PER_MINUTE]:
            candidate = candidate.plus(tick.candidate)
            control = control.plus(tick.control or ArmCounts())
        yield candidate, control


def poisson(draw: random.Random, mean: float) -> int:
    """Draw a Poisson count; beyond a mean of 200 by its normal limit."""
    if mean <= 0:
        return 0
    if mean > 200:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    left, count, chance = draw.random(), 0, math.exp(-mean)
    while left > chance and count < 1000:
        left -= chance
        count += 1
        chance *= mean / count
    return count


def _answer(
    draw: random.Random, arm: Arm, errors: float, latency: float, burst: float
) -> ArmCounts:
    # As many as asked, exactly, unless they come in bursts: so the others' figures were computed.
    wanted = arm.per_minute * burst / PER_MINUTE
    requests = round(wanted) if burst == 1.0 else poisson(draw, wanted)
    failed = min(requests, poisson(draw, requests * min(1.0, arm.errors * errors)))
    if arm.median is None:
        return ArmCounts(requests, failed)
    middle, counts = math.log(arm.median * latency), [0] * (len(BOUNDS_MS) + 1)
    for _ in range(requests):
        place = math.ceil((middle + arm.spread * draw.gauss(0.0, 1.0)) / _LOG_STEP)
        counts[min(max(place, 0), len(BOUNDS_MS))] += 1
    total, histogram = 0, []
    for bound, count in zip(BOUNDS_MS, counts, strict=False):
        total += count
        histogram.append((bound, total))
    return ArmCounts(requests, failed, requests, tuple(histogram))
