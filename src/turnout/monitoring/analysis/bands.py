"""Confidence bands that hold at all times at once, for people and for the schedule.

An arm's rate: the beta-mixture confidence sequence for a share (Robbins, "Statistical methods
related to the law of the iterated logarithm", Ann. Math. Stat. 41, 1970; also Howard and
others, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021).  A quantile:
the bounds at which that sequence leaves the quantile's share (Howard and Ramdas, 2022).  The
difference of two rates: the asymptotic confidence sequence of Waudby-Smith and others,
"Time-uniform central limit theory" (arXiv 2103.06476), which the count test itself does not
rest on.  A guard factor shrinks the counts to what they are worth.
"""

from __future__ import annotations

import math

from turnout.monitoring.analysis.ticks import ArmCounts

_STEPS = 50
_TYPICAL = 0.002
"""The standard error, of a difference of rates, at which its band is tightest."""


def rate(n: int, x: int, alpha: float, factor: float = 1.0) -> tuple[float, float]:
    """Return the least and the highest plausible rate of *x* in *n*.

    Args:
        n: Exposure.
        x: Count.
        alpha: How often the band may ever miss the rate.
        factor: The dispersion guard's.
    """
    if n <= 0:
        return 0.0, 1.0
    many, hits = n / factor, min(x, n) / factor
    middle = hits / many
    line = math.log(1 / alpha)
    low = _cross(many, hits, line, 0.0, middle)
    high = _cross(many, hits, line, 1.0, middle)
    return (0.0 if hits == 0 else low), (1.0 if hits == many else high)


def difference(
    a: tuple[int, int], b: tuple[int, int], alpha: float, factor: float = 1.0
) -> tuple[float, float, float] | None:
    """Return the estimate, the low and the high end of the rate of *a* less that of *b*.

    None while one arm has no exposure.
    """
    (na, xa), (nb, xb) = a, b
    if na <= 0 or nb <= 0:
        return None
    # Half a count more keeps the variance from 0 where nothing was counted.
    pa, pb = (min(xa, na) + 0.5) / (na + 1), (min(xb, nb) + 0.5) / (nb + 1)
    variance = factor * (pa * (1 - pa) / na + pb * (1 - pb) / nb)
    known, tuned = 1 / variance, 1 / _TYPICAL**2
    spread = math.sqrt((known + tuned) * math.log((known + tuned) / (tuned * alpha**2))) / known
    estimate = min(xa, na) / na - min(xb, nb) / nb
    return estimate, max(-1.0, estimate - spread), min(1.0, estimate + spread)


def quantile(
    arm: ArmCounts, share: float, alpha: float, factor: float = 1.0
) -> tuple[float | None, float | None]:
    """Return two bounds in milliseconds that the quantile lies between; None: not known yet."""
    low = high = None
    many = arm.timed / factor
    line = math.log(1 / alpha)
    for bound, count in arm.latency:
        below = count / factor
        if many <= 0 or _log_e(many, below, share) < line:
            continue
        if below < share * many:
            low = bound
        else:
            high = bound
            break
    return low, high


def _log_e(n: float, x: float, p: float) -> float:
    """Return log e against "the rate is p": a beta mixture over all rates, over p."""
    mixture = (
        math.lgamma(x + 0.5) + math.lgamma(n - x + 0.5) - math.lgamma(n + 1) - math.log(math.pi)
    )
    likely = (x * math.log(p) if x else 0.0) + ((n - x) * math.log1p(-p) if n > x else 0.0)
    return mixture - likely


def _cross(n: float, x: float, line: float, outside: float, inside: float) -> float:
    """Return where log e comes under *line* between a rate that is out and one that is in."""
    for _ in range(_STEPS):
        middle = (outside + inside) / 2
        if not 0 < middle < 1 or _log_e(n, x, middle) >= line:
            outside = middle
        else:
            inside = middle
    return outside
