"""The dispersion guard: how much more the counts vary than the count test assumes.

Counts of both arms are kept by block (a minute each), and Pearson's statistic around each arm's
own mean measures the dispersion; a difference between the arms' means does not enter.  Log
e-values are divided by the factor, as quasi-likelihood does (McCullagh and Nelder, "Generalized
Linear Models", section 9.2): it is 1 or more, so a guarded test never says more than the plain
one would, and the promise of the plain test is kept.  The factor is for *good*, for absolute
limits, for the split and for the bands; *bad* beside a control, where the plain test alarms on 5
to 20 % of healthy releases whose rates move by the minute, has a sharper guard in
:mod:`dispersion`.

A minute in which both arms were far up together is an incident of what they share; there the
split of the counts between them is looked at instead of their level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from turnout.monitoring.analysis import settings


@dataclass(frozen=True)
class Block:
    """Exposure and counts of both arms in a stretch of time."""

    candidate: tuple[int, int] = (0, 0)
    control: tuple[int, int] = (0, 0)

    def plus(self, candidate: tuple[int, int], control: tuple[int, int]) -> Block:
        """Return the block with a chunk more."""
        return Block(
            (self.candidate[0] + candidate[0], self.candidate[1] + candidate[1]),
            (self.control[0] + control[0], self.control[1] + control[1]),
        )


@dataclass(frozen=True)
class Blocks:
    """The blocks of one measure.

    Attributes:
        length: Seconds that each is long.
        closed: Those that are over, oldest first.
        open: The one that runs.
        place: The number of the one that runs, in lengths since the start.
    """

    length: float = settings.BLOCK_S
    closed: tuple[Block, ...] = ()
    open: Block = Block()
    place: int = 0

    def add(self, age: float, candidate: tuple[int, int], control: tuple[int, int]) -> Blocks:
        """Return the blocks with a chunk more that ended *age* seconds after the start."""
        place = max(self.place, math.ceil(age / self.length) - 1)
        if place == self.place:
            return Blocks(self.length, self.closed, self.open.plus(candidate, control), place)
        closed = (*self.closed, self.open) if self.open != Block() else self.closed
        length = self.length
        if len(closed) >= settings.BLOCKS_KEPT:
            # Pairs become one, so a watch of days costs no more than one of an hour.
            closed = tuple(
                one.plus(other.candidate, other.control)
                for one, other in zip(closed[::2], closed[1::2], strict=True)
            )
            length, place = 2 * length, math.ceil(age / (2 * length)) - 1
        return Blocks(length, closed, Block().plus(candidate, control), place)


def factor(blocks: Blocks, age: float, scale: float = 1.0) -> float:
    """Return what log e-values are to be divided by, 1 or more.

    Args:
        blocks: The counts.
        age: Seconds since the start.
        scale: What a Poisson variance is to be multiplied by before it is compared with.
    """
    part = min(1.0, max(0.0, age / blocks.length - blocks.place))
    # What has run for seconds says nothing about dispersion yet, and counts for its part.
    many = len(blocks.closed) + part
    estimate = _estimate((*blocks.closed, blocks.open), max(0.0, many - 1), scale)
    if blocks.length > settings.BLOCK_S:
        return estimate
    return max(estimate, _early(many))


def _early(many: float) -> float:
    """Return the factor that is taken for granted while blocks are too few to show one."""
    for until, least in settings.EARLY:
        if many <= until:
            return least
    return 1.0


def _estimate(blocks: Sequence[Block], freedom: float, scale: float) -> float:
    alone = not any(block.control[0] for block in blocks)
    live = [block for block in blocks if block.candidate[0] and (block.control[0] or alone)]
    if len(live) < 2 or freedom <= 0:
        return 1.0
    residuals = _residuals(live)
    candidate, control = (sum(r * r for r in arm) / scale for arm in residuals)
    suspect = (settings.PRIOR + candidate) / (1 + freedom)
    index = suspect
    if not alone:
        # The arm with the smaller part of the traffic carries the larger part of the variance.
        weight = sum(b.control[0] for b in live) / sum(b.candidate[0] + b.control[0] for b in live)
        pearson = 2 * (weight * candidate + (1 - weight) * control)
        both = (settings.PRIOR + pearson) / (1 + 2 * freedom)
        index = both + max(0.0, suspect - both) * math.exp(-freedom / settings.SUSPECT_FADES)
        # Were the candidate as healthy as the control, it would vary as the control does.
        calm = (settings.PRIOR + control) / (1 + freedom)
        index = min(index, max(1.0, calm) + settings.CALM / freedom)
    excess = max(0.0, index - 1.0 - settings.NOISE / math.sqrt(1 + 2 * freedom))
    return 1.0 + excess * max(settings.SLOPE, settings.LONG * _inflation(residuals))


def _inflation(residuals: Sequence[Sequence[float]]) -> float:
    """Return what the variance of a long sum is of that of independent blocks.

    (1 + r)/(1 - r) for residuals that are AR(1) with correlation r; estimated from both arms,
    with the bias of short series put right (Kendall, Biometrika 41, 1954).
    """
    many = len(residuals[0])
    whole = sum(r * r for arm in residuals for r in arm)
    if many < settings.CORRELATED_FROM or whole <= 0:
        return 1.0
    products = (a * b for arm in residuals for a, b in itertools.pairwise(arm))
    found = sum(products) / whole
    found = min(settings.MOST_CORRELATED, max(0.0, found + (1 + 3 * found) / many))
    return (1 + found) / (1 - found)


def _residuals(blocks: Sequence[Block]) -> tuple[list[float], list[float]]:
    """Return Pearson's residuals of the candidate's and of the control's blocks."""
    calm = list(blocks)
    for _ in range(settings.ROUNDS):
        rates = _rates(calm)
        still = [block for block in blocks if not _shared(block, *rates)]
        if len(still) < 2 or len(still) == len(calm):
            break
        calm = still
    rates = _rates(calm)
    candidate, control = [], []
    for block in blocks:
        if _shared(block, *rates):
            split = _split(block, *rates)
            candidate.append(split)
            control.append(-split)
        else:
            candidate.append(_pearson(block.candidate, rates[0]))
            control.append(_pearson(block.control, rates[1]))
    return candidate, control


def _rates(blocks: Sequence[Block]) -> tuple[float, float]:
    """Return both arms' rates; half a count keeps them from 0."""
    return (
        (sum(b.candidate[1] for b in blocks) + 0.5) / max(1, sum(b.candidate[0] for b in blocks)),
        (sum(b.control[1] for b in blocks) + 0.5) / max(1, sum(b.control[0] for b in blocks)),
    )


def _pearson(counted: tuple[int, int], rate: float) -> float:
    expected = counted[0] * rate
    return (counted[1] - expected) / math.sqrt(expected) if expected > 0 else 0.0


def _shared(block: Block, candidate: float, control: float) -> bool:
    """Return whether both arms are far up together, and about equally."""
    for counted, rate in ((block.candidate, candidate), (block.control, control)):
        if _pearson(counted, rate) <= settings.INCIDENT:
            return False
    return abs(_split(block, candidate, control)) < settings.INCIDENT


def _split(block: Block, candidate: float, control: float) -> float:
    """Return how far the counts' split between the arms is from what their rates say."""
    counts = block.candidate[1] + block.control[1]
    a, b = block.candidate[0] * candidate, block.control[0] * control
    if not counts or a <= 0 or b <= 0:
        return 0.0
    share = a / (a + b)
    return (block.candidate[1] - counts * share) / math.sqrt(counts * share * (1 - share))
