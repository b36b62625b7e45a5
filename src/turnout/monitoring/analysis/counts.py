"""The count test: is one arm's rate above the other's by more than is allowed?

Each chunk of traffic gives exposures ``n`` and counts ``x`` of two arms.  A guess ``q`` of both
rates, made before the chunk, bets against the nearest pair ``r`` that is still allowed:

    log e = xa ln(qa/ra) + xb ln(qb/rb) - na (qa - ra) - nb (qb - rb),   ra = rb + margin

``r`` is the projection of ``q`` onto the border, where ``na (qa/ra - 1) = nb (1 - qb/rb) = S``.
Then the mean of e is at most exp(S (pa - pb - margin)) for Poisson counts and for counts of
single requests alike, whatever the rates are and however they move from chunk to chunk: it is
at most 1 as long as ``pa <= pb + margin`` in each.  So the product over chunks is an e-process,
and by Ville's inequality it ever exceeds 1/alpha with probability alpha at most: one may look
as often as one likes.  Without a margin the rates' level falls out and what remains is the
conditional test of Lindon and Malek (arXiv 2011.03567; 2205.14762): each error falls to the
candidate with a known probability.  The projection is the reverse information projection of
Turner, Ly and Gruenwald (arXiv 2106.02693; 2203.09785) in the limit of rare events.  The
alternatives are a fixed mixture, so their average is an e-process again.  Part of the stake on
harm waits and begins to bet later, minute after minute: a mixture over the time at which harm
begins (the e-processes of Shin, Ramdas and Rinaldo, "E-detectors", arXiv 2203.03532, with start
weights that sum to 1, so that Ville's inequality holds and not only a mean time to alarm).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from turnout.monitoring.analysis import settings

Logs = tuple[float, ...]
"""Log e of each alternative, without its weight."""


def start(alternatives: Sequence[tuple[float, float]]) -> Logs:
    """Return the log e-values before anything was counted."""
    return (0.0,) * len(alternatives)


def worse(
    logs: Logs,
    candidate: tuple[int, int],
    control: tuple[int, int],
    base: float,
    margin: float,
    since: float = 0.0,
) -> Logs:
    """Bet a chunk against "the candidate's rate is at most the control's plus *margin*".

    Args:
        logs: Log e of each of :data:`settings.WORSE` so far.
        candidate: Its exposure and count.
        control: Likewise.
        base: The control's rate as known before the chunk; it matters with a margin only.
        margin: Absolute, as a share.
        since: Seconds from the start to the chunk's beginning.
    """
    left = waiting(since / 60)
    return tuple(
        _carried(log, waits * left, bet(candidate, control, (base + margin) * ratio, base, margin))
        for log, (ratio, _), waits in zip(logs, settings.WORSE, settings.WAITS, strict=True)
    )


def waiting(minutes: float) -> float:
    """Return the part of what waits for late harm that has not begun to bet by then."""
    begun = min(settings.LATEST, max(0, math.floor(minutes)))
    return (_HARMONIC[settings.LATEST] - _HARMONIC[begun]) / _HARMONIC[settings.LATEST]


def no_worse(
    logs: Logs, candidate: tuple[int, int], control: tuple[int, int], base: float, margin: float
) -> Logs:
    """Bet a chunk against "the candidate's rate is at least the control's plus *margin*"."""
    return tuple(
        log + bet(control, candidate, base, (base + margin) * ratio, -margin)
        for log, (ratio, _) in zip(logs, settings.BETTER, strict=True)
    )


def above(logs: Logs, arm: tuple[int, int], limit: float) -> Logs:
    """Bet a chunk of one arm against "its rate is at most *limit*"."""
    return tuple(
        log + _one_arm(arm, limit, ratio)
        for log, (ratio, _) in zip(logs, settings.WORSE, strict=True)
    )


def below(logs: Logs, arm: tuple[int, int], limit: float) -> Logs:
    """Bet a chunk of one arm against "its rate is at least *limit*"."""
    return tuple(
        log + _one_arm(arm, limit, ratio)
        for log, (ratio, _) in zip(logs, settings.BETTER, strict=True)
    )


def bet(a: tuple[int, int], b: tuple[int, int], qa: float, qb: float, margin: float) -> float:
    """Return the log e-value of one chunk against ``pa <= pb + margin``.

    Args:
        a: Exposure and count of the arm that is suspected.
        b: Those of the other.
        qa: The rate of *a* that is bet on.
        qb: That of *b*.
        margin: May be negative; 0 if the bet is not outside what is allowed.
    """
    (na, xa), (nb, xb) = a, b
    if na <= 0 or nb <= 0 or qa <= 0 or qb <= 0 or qa - qb <= margin:
        return 0.0
    # ra solves (na + nb) r^2 - ((na + nb) margin + na qa + nb qb) r + na qa margin = 0; with the
    # shares of the exposure instead of the exposures, huge counts stay exact.
    sa = na / (na + nb)
    sb = 1.0 - sa
    mean = sa * qa + sb * qb
    if margin == 0:
        ra = rb = mean
    elif margin > 0:
        # The smaller rate from its own equation: no cancellation where it is tiny.
        half = (mean - margin) / 2
        root = math.sqrt(half * half + sb * qb * margin)
        rb = half + root if half > 0 else sb * qb * margin / (root - half)
        ra = rb + margin
    else:
        half = (mean + margin) / 2
        root = math.sqrt(half * half - sa * qa * margin)
        ra = half + root if half > 0 else -sa * qa * margin / (root - half)
        rb = ra - margin
    cost = na * (qa - ra) + nb * (qb - rb)
    return xa * math.log(qa / ra) + xb * math.log(qb / rb) - cost


def mixed(logs: Logs, alternatives: Sequence[tuple[float, float]]) -> float:
    """Return the log of the weighted mean of the alternatives' e-values."""
    return log_sum(
        [log + math.log(weight) for log, (_, weight) in zip(logs, alternatives, strict=True)]
    )


def log_sum(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of exponentials."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))


def log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of e-values: an e-value whatever ties them together."""
    return log_sum(logs) - math.log(len(logs))


_HARMONIC = tuple(
    accumulate((1 / (k + settings.FIRST_LATE) for k in range(1, settings.LATEST + 1)), initial=0.0)
)


def _carried(log: float, waits: float, gain: float) -> float:
    """Return log e after a bet in which the part *waits* of the stake stood aside.

    What waits is worth what it was at the start, so e grows by the bet in what is over that.
    """
    if waits <= 0:
        return log + gain
    rest = 1 - waits * math.exp(-log)
    idle = math.log(waits)
    return idle if rest <= 0 else log_sum((log + math.log(rest) + gain, idle))


def _one_arm(arm: tuple[int, int], limit: float, ratio: float) -> float:
    n, x = arm
    return x * math.log(ratio) - n * limit * (ratio - 1) if limit > 0 else 0.0
