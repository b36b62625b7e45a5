"""Latency histograms as the router counts them: added, subtracted, and asked for quantiles.

A histogram is pairs of a bucket's upper bound in milliseconds and how many requests fell into
it, sorted by bound, empty buckets left out.  The last bound may be infinite.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from turnout.monitoring.analysis.ticks import BOUNDS_MS

Latency = tuple[tuple[float, int], ...]

LADDER: tuple[float, ...] = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000,
    1800000, 3600000,
)  # fmt: skip
"""Envoy's default bounds (``ConstSupportedBuckets`` of its histogram settings)."""
_COARSE = frozenset(LADDER)
_FINE = frozenset(BOUNDS_MS)
_ONLY_FINE = _FINE - _COARSE


def merged(histograms: Iterable[Sequence[tuple[float, int]]]) -> Latency:
    """Return the sum of histograms."""
    total: dict[float, int] = {}
    for histogram in histograms:
        for bound, count in histogram:
            total[bound] = total.get(bound, 0) + count
    return tuple(sorted((bound, count) for bound, count in total.items() if count))


def risen(
    new: Sequence[tuple[float, int]], old: Sequence[tuple[float, int]]
) -> tuple[Latency, bool]:
    """Return what *new* has over *old*, and whether every bucket only grew.

    A bucket that lost some tells that the counting began anew; then all of *new* is new.
    """
    before = dict(old)
    after = dict(new)
    if any(after.get(bound, 0) < count for bound, count in before.items()):
        return merged([new]), False
    return (
        tuple(
            sorted(
                (bound, count - before.get(bound, 0))
                for bound, count in after.items()
                if count > before.get(bound, 0)
            )
        ),
        True,
    )


def count_of(latency: Sequence[tuple[float, int]]) -> int:
    """Return how many requests a histogram holds."""
    return sum(count for _, count in latency)


def cumulative(latency: Sequence[tuple[float, int]]) -> Latency:
    """Return a histogram with each count including those below; the infinite bound is left out.

    Every bound that the router counts with is in it, also those of buckets that are empty: a
    line that is drawn between two that are not would else have no place.
    """
    if not latency:
        return ()
    counts = dict(latency)
    own = [bound for bound in counts if math.isfinite(bound)]
    found: list[tuple[float, int]] = []
    below = 0
    for bound in sorted({*_ladder(own), *own}):
        below += counts.get(bound, 0)
        found.append((bound, below))
    return tuple(found)


def quantile(latency: Sequence[tuple[float, int]], q: float) -> float | None:
    """Return a quantile in milliseconds, linear within its bucket; None of nothing.

    Args:
        latency: A histogram.
        q: 0 to 1.
    """
    total = count_of(latency)
    if not total:
        return None
    rank, below, under = q * total, 0, 0.0
    for bound, count in latency:
        if count:
            low = _lower(bound, under)
            if below + count >= rank:
                if math.isinf(bound):
                    return low
                return low + (bound - low) * max(0.0, rank - below) / count
            below += count
            under = bound
    return under


def mean(latency: Sequence[tuple[float, int]]) -> float | None:
    """Return the mean in milliseconds, each request taken to be in the middle of its bucket."""
    total = count_of(latency)
    if not total:
        return None
    sum_ms, under = 0.0, 0.0
    for bound, count in latency:
        low = _lower(bound, under)
        sum_ms += count * (low if math.isinf(bound) else (low + bound) / 2)
        under = bound
    return sum_ms / total


def _lower(bound: float, under: float) -> float:
    """Return where a bucket begins, also when its lower neighbours are empty and so left out.

    The bound itself tells which of the two ladders the router counts with.
    """
    if math.isinf(bound):
        return max(under, float(BOUNDS_MS[-1]))
    ladder = _ladder([bound])
    position = bisect_left(ladder, bound)
    return max(under, float(ladder[position - 1]) if position else 0.0)


def _ladder(bounds: Iterable[float]) -> Sequence[float]:
    """Return the ladder that some bounds are of."""
    return BOUNDS_MS if any(bound in _ONLY_FINE for bound in bounds) else LADDER
