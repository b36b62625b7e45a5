"""What one measure says by itself, and the evidence it says it from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnout.monitoring.analysis import bands, counts, dispersion, guard, rates, split, values
from turnout.monitoring.analysis.policy import Measure, Policy
from turnout.monitoring.analysis.ticks import ArmCounts, quantile
from turnout.monitoring.analysis.verdicts import Word

_LARGEST = 700.0
"""The largest log whose exponential is a number that JSON can hold."""


@dataclass(frozen=True)
class Opinion:
    """What one measure says.

    Attributes:
        word: As if it stood alone.
        reason: One sentence.
        log_e: Guarded log e against "no harm"; -inf where it must not count.
        sure: How sure it is that it is no worse than tolerated, 0 to 1.
        enough: Whether it had the requests that were asked for.
        evidence: Plain JSON values.
    """

    word: Word
    reason: str
    log_e: float
    sure: float
    enough: bool
    evidence: dict[str, Any]


def total(logs: Sequence[float]) -> float:
    """Return the log of the sum of e-values; none of them may count."""
    return -math.inf if max(logs) == -math.inf else counts.log_sum(logs)


def of_rate(
    policy: Policy,
    measure: Measure,
    rate: rates.Rate,
    candidate: ArmCounts,
    control: ArmCounts,
    age: float,
    mismatch: bool,
) -> Opinion:
    """Return what a measure of the router's says.

    Args:
        policy: What is asked.
        measure: Which measure.
        rate: Its state.
        candidate: All that the candidate answered.
        control: Likewise.
        age: Seconds since the start.
        mismatch: The split is not as asked, so the arms cannot be compared.
    """
    factor = guard.factor(rate.blocks, age) if policy.guard else 1.0
    plain = rates.log_harm(measure, rate)
    log_e = _guarded(measure, rate, control, age, factor) if policy.guard else plain
    fine = rates.log_fine(measure, rate)
    fine = fine / factor if fine > 0 else fine
    share = policy.share_of_alpha(measure)
    line = math.log(1 / (policy.alpha * share))
    compared = measure.max_increase is not None
    arms = (_exposure(measure, candidate), _exposure(measure, control) if compared else None)
    short = [
        f"{name} had {many} of {policy.min_requests} requests"
        for name, many in zip(("the candidate", "the control"), arms, strict=True)
        if many is not None and many < policy.min_requests
    ]
    seen = _seen(policy, measure, candidate, control, factor)
    word: Word
    if compared and mismatch:
        word, reason = "unknown", f"{measure.name}: the split is not as asked"
    elif short:
        word, reason = "unknown", f"{measure.name}: {' and '.join(short)}"
    elif log_e >= line:
        word, reason = "bad", f"{measure.name} is worse than allowed: {_said(measure, seen)}"
    elif fine >= math.log(1 / policy.beta):
        word, reason = "good", f"{measure.name} is within its tolerance: {_said(measure, seen)}"
    else:
        word, reason = "unknown", f"{measure.name} is not decided yet: {_said(measure, seen)}"
    counts_for_it = not short and not (compared and mismatch)
    sure = -math.expm1(-max(0.0, fine)) if counts_for_it else 0.0
    evidence = {
        "kind": measure.kind,
        "verdict": word,
        "reason": reason,
        "log_e": log_e,
        "e": math.exp(min(log_e, _LARGEST)),
        "log_e_plain": plain,
        "log_threshold": line,
        "threshold": math.exp(min(line, _LARGEST)),
        "peak_log_e_plain": rate.peak,
        "peak_at": rate.peak_at,
        "log_e_fine": fine,
        "sure": sure,
        "guard": factor,
        "alpha": policy.alpha * share,
        "max_increase": measure.max_increase,
        "max": measure.max,
        "within": measure.within,
        "dry_run": measure.dry_run,
        **seen,
    }
    return Opinion(word, reason, log_e if counts_for_it else -math.inf, sure, not short, evidence)


def _guarded(
    measure: Measure, rate: rates.Rate, control: ArmCounts, age: float, factor: float
) -> float:
    """Return log e against "no harm" with dispersion allowed for, each limit in its own way."""
    worse, above = rates.limits_logs(measure, rate)
    found = []
    if worse is not None:
        latency = measure.kind == "latency"
        base = 1.0 if latency else rates.base_rate(control)
        margin = 0.0 if latency else measure.max_increase or 0.0
        found.append(
            dispersion.guarded(
                worse, rate.blocks, age, latency=latency, allowed=(base + margin) / base
            )
        )
    if above is not None:
        # Only evidence is scaled down: a value under 1 has no claim that could be too strong.
        found.append(above / factor if above > 0 else above)
    return counts.log_mean(found)


def of_value(measure: Measure, state: values.Values) -> Opinion:
    """Return what a measure from elsewhere says."""
    word, reason = values.judge(measure, state)
    evidence = {
        "kind": measure.kind,
        "verdict": word,
        "reason": reason,
        "value": state.last,
        "low": state.low,
        "high": state.high,
        "measured": state.measured,
        "outside": state.outside,
        "failure_limit": measure.failure_limit,
        "missing": state.missing,
        "max": measure.max,
        "min": measure.min,
        "dry_run": measure.dry_run,
    }
    return Opinion(word, reason, -math.inf, float(word == "good"), word != "unknown", evidence)


def of_split(policy: Policy, state: split.Split, age: float) -> tuple[bool, dict[str, Any]]:
    """Return whether the split is proven not to be as asked, and the evidence."""
    factor = split.factor(state, age) if policy.guard else 1.0
    plain = split.log_e(state)
    log_e = plain / factor if plain > 0 else plain
    both = state.candidate + state.control
    return log_e >= math.log(1 / policy.split_alpha), {
        "asked": state.expected / both if both else None,
        "seen": state.candidate / both if both else None,
        "log_e": log_e,
        "log_threshold": math.log(1 / policy.split_alpha),
        "guard": factor,
    }


def _exposure(measure: Measure, arm: ArmCounts) -> int:
    return max(arm.requests, arm.errors) if measure.kind == "errors" else arm.timed


def _seen(
    policy: Policy, measure: Measure, candidate: ArmCounts, control: ArmCounts, factor: float
) -> dict[str, Any]:
    """Return both arms' figures with their bands, and the difference of their rates."""
    found: dict[str, Any] = {}
    for name, arm in (("candidate", candidate), ("control", control)):
        exposure = _exposure(measure, arm)
        if measure.kind == "errors":
            low, high = bands.rate(exposure, arm.errors, policy.alpha, factor)
            found[name] = {
                "requests": exposure,
                "count": arm.errors,
                "rate": arm.errors / exposure if exposure else None,
                "low": low,
                "high": high,
            }
        else:
            under, over = bands.quantile(arm, measure.quantile, policy.alpha, factor)
            found[name] = {
                "requests": exposure,
                "quantile": quantile(arm, measure.quantile),
                "low": under,
                "high": over,
            }
    if measure.kind == "errors":
        a, b = ((_exposure(measure, arm), arm.errors) for arm in (candidate, control))
        between = bands.difference(a, b, policy.alpha, factor)
        if between is not None:
            estimate, least, most = between
            found["difference"] = {
                "estimate": estimate,
                "low": least,
                "high": most,
                "width": most - least,
            }
    return found


def _said(measure: Measure, seen: dict[str, Any]) -> str:
    candidate, control = seen["candidate"], seen["control"]
    parts = []
    for name, arm in (("candidate", candidate), ("control", control)):
        if measure.kind == "errors" and arm["rate"] is not None:
            parts.append(f"{name} {arm['rate']:.2%}")
        elif measure.kind == "latency" and arm["quantile"] is not None:
            parts.append(f"{name} {arm['quantile']:g} ms")
    allowed = []
    if measure.max_increase is not None:
        unit = "" if measure.kind == "latency" else " points"
        allowed.append(f"{100 * measure.max_increase:g} %{unit} more")
    if measure.max is not None:
        allowed.append(
            f"at most {measure.max:.2%}"
            if measure.kind == "errors"
            else f"at most {measure.max:g} ms"
        )
    return f"{', '.join(parts)} (allowed: {', '.join(allowed)})"
