"""The rules that are compared: other tools', from their documentation, and ours.

Each takes a trace's ticks and returns the minute at which it goes back, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist, fmean

from bench.analysis.traffic import by_minute
from turnout.monitoring import analysis
from turnout.monitoring.analysis import ArmCounts, Policy, Tick
from turnout.monitoring.analysis.ticks import quantile

Rule = Callable[[list[Tick]], float | None]
Value = Callable[[ArmCounts], float | None]


def error_rate(arm: ArmCounts) -> float | None:
    """Return the share of failed requests; None without any."""
    return arm.errors / arm.requests if arm.requests else None


def p99(arm: ArmCounts) -> float | None:
    """Return the 99th percentile of the latency in milliseconds."""
    return quantile(arm, 0.99)


def flagger(
    threshold: int, *, steps: int = 25, limit: float = 0.01, of: Value = error_rate
) -> Rule:
    """Flagger: a check a minute over the last minute; each that passes is a step onwards.

    From https://docs.flagger.app/usage/how-it-works and .../usage/metrics: ``interval: 1m``, a
    metric outside its ``thresholdRange`` fails the check (no data fails none here), and
    ``threshold`` failed checks roll back.
    """

    def rule(ticks: list[Tick]) -> float | None:
        failed = passed = 0
        for minute, (candidate, _) in enumerate(by_minute(ticks), 1):
            value = of(candidate)
            if value is not None and value > limit:
                failed += 1
            else:
                passed += 1
            if failed >= threshold:
                return float(minute)
            if passed >= steps:
                return None
        return None

    return rule


def argo(
    *, interval: int = 5, failure_limit: int = 3, limit: float = 0.01, of: Value = error_rate
) -> Rule:
    """Argo Rollouts: a background analysis that fails with more failures than the limit.

    From https://argo-rollouts.readthedocs.io/en/stable/features/analysis/: ``interval: 5m`` over
    the last five minutes, ``failureLimit: 3``.
    """

    def rule(ticks: list[Tick]) -> float | None:
        failed, window = 0, ArmCounts()
        for minute, (candidate, _) in enumerate(by_minute(ticks), 1):
            window = window.plus(candidate)
            if minute % interval:
                continue
            value, window = of(window), ArmCounts()
            failed += value is not None and value > limit
            if failed > failure_limit:
                return float(minute)
        return None

    return rule


def kayenta(*, first: int = 10, every: int = 5, of: Value = error_rate) -> Rule:
    """Kayenta: Mann-Whitney on the values of the minutes so far, in repeated intervals.

    From the documentation of the NetflixACAJudge (spinnaker.io, "How canary judgment works";
    docs/canary-config.md): a metric is *High* when the confidence interval (98 %) of the shift
    lies above the tolerance (0.25 of the shift's estimate) and the ratio of the means is at
    least ``allowedIncrease`` (1.0); one metric that fails is a score of 0.
    """

    def rule(ticks: list[Tick]) -> float | None:
        ours: list[float] = []
        theirs: list[float] = []
        for minute, (candidate, control) in enumerate(by_minute(ticks), 1):
            for values, arm in ((ours, candidate), (theirs, control)):
                value = of(arm)
                if value is not None:
                    values.append(value)
            if minute >= first and (minute - first) % every == 0 and _high(ours, theirs):
                return float(minute)
        return None

    return rule


def plain(policy: Policy) -> Rule:
    """Return our own count test without the guard: what it adds shows beside it."""
    return ours(
        Policy(policy.measures, policy.alpha, policy.beta, policy.min_requests, guard=False)
    )


def ours(policy: Policy) -> Rule:
    """Return our judge, asked after every tick."""

    def rule(ticks: list[Tick]) -> float | None:
        state = analysis.start(policy, at=0.0)
        for tick in ticks:
            state = analysis.observe(state, tick)
            # Without suspicion no rate is bad; the whole verdict would say the same, later.
            if analysis.suspicion(state) >= 0 and analysis.verdict(state).verdict == "bad":
                return state.at / 60
        return None

    return rule


def good(policy: Policy, every: int = 2) -> Rule:
    """Return the minute at which our judge says *good*, asked every so many ticks."""

    def rule(ticks: list[Tick]) -> float | None:
        state = analysis.start(policy, at=0.0)
        for place, tick in enumerate(ticks):
            state = analysis.observe(state, tick)
            if place % every == 0 and analysis.verdict(state).verdict == "good":
                return state.at / 60
        return None

    return rule


def _high(ours: list[float], theirs: list[float]) -> bool:
    if not ours or not theirs or not fmean(theirs) < fmean(ours):
        return False
    differences = sorted(a - b for a in ours for b in theirs)
    m, n = len(ours), len(theirs)
    # The interval of the shift by the normal limit, as R's wilcox.test has it for ties.
    z = NormalDist().inv_cdf(1 - (1 - 0.98) / 2)
    place = math.floor(m * n / 2 - z * math.sqrt(m * n * (m + n + 1) / 12))
    middle = len(differences) // 2
    estimate = (differences[middle] + differences[~middle]) / 2
    return place >= 1 and differences[place - 1] > 0.25 * abs(estimate)
