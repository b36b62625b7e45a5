"""How fast a canary's weight may rise: as fast as the evidence allows and no faster.

The rule bounds how many users an undetected fault could harm.  A weight must pass all of:

1. *Risk.*  Let ``c`` be how sure it is that the candidate harms nobody.  At weight ``w`` the
   expected share of the traffic that is harmed is at most ``(1 - c) * w``.  It stays within
   ``accepted`` percent, so ``w <= accepted / (1 - c)``: 1 % of the traffic may be risked with
   no evidence, 10 % when it is nine parts in ten sure, all of it from ``c = 0.99`` on.
2. *Exposure.*  In the next interval the candidate gets no more requests than it has had so
   far.  After ``n`` answers without a fault the true rate of faults is below ``3 / n`` with 95 %
   confidence (the rule of three: Hanley and Lippman-Hand, JAMA 249(13), 1983), so that an
   interval of at most ``n`` requests harms three at most, whatever the weight.
3. *Load.*  At most twice the weight before: what a release does at 5 % says little about 50 %.

Until it has had ``min_requests``, or before ``interval`` seconds at a weight have passed, the
weight stays.  It never falls: a bad verdict ends the canary, which is not for this rule to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """What is known of the candidate.

    Attributes:
        confidence: How sure it is that the candidate is not harmful, 0 to 1.
        requests: Requests that it has answered under judgement so far.
        seconds: Seconds at the present weight.
        requests_per_minute: Requests a minute that the whole environment expects.
    """

    confidence: float
    requests: int
    seconds: float
    requests_per_minute: float


@dataclass(frozen=True)
class Bounds:
    """Between what the weight moves.

    Attributes:
        max: The last weight.
        interval: Least seconds at each weight.
        min_requests: Requests without which nothing is concluded.
        accepted: Percent of the traffic that may be harmed in expectation.
        factor: How many times the present weight the next may be, above 1.
    """

    max: int = 100
    interval: float = 5.0
    min_requests: int = 100
    accepted: float = 1.0
    factor: float = 2.0


def next_weight(weight: int, evidence: Evidence, bounds: Bounds) -> int:
    """Return the weight that the candidate may have now.

    Args:
        weight: What it has, in percent.
        evidence: What is known of it.
        bounds: Between what the weight moves.

    Returns:
        *weight*, or more up to ``bounds.max``.
    """
    if evidence.requests < bounds.min_requests or evidence.seconds < bounds.interval:
        return weight
    allowed = min(
        float(bounds.max),
        _by_risk(evidence, bounds),
        _by_exposure(evidence, bounds),
        max(weight * bounds.factor, weight + 1.0),
    )
    # Counts of hundreds lose a little in division: 1 / (1 - 0.99) is just below 100.
    return max(weight, math.floor(allowed + 1e-6))


def _by_risk(evidence: Evidence, bounds: Bounds) -> float:
    doubt = 1.0 - min(max(evidence.confidence, 0.0), 1.0)
    return bounds.accepted / doubt if doubt > 0 else math.inf


def _by_exposure(evidence: Evidence, bounds: Bounds) -> float:
    expected = evidence.requests_per_minute / 60.0 * bounds.interval
    return 100.0 * evidence.requests / expected if expected > 0 else math.inf
