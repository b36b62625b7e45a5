"""Measures from elsewhere, one value at a time: how many were outside their limits.

The rule is Argo Rollouts': so many values outside are borne, one more is bad.  What differs is
that a missing value is no failure: it makes the measure unavailable while it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from turnout.monitoring.analysis.policy import Measure
from turnout.monitoring.analysis.verdicts import Word


@dataclass(frozen=True)
class Values:
    """The state of one measure.

    Attributes:
        measured: Values so far.
        outside: Those outside the limits.
        missing: Times in a row that there was none.
        last: The newest.
        low: The least.
        high: The highest.
    """

    measured: int = 0
    outside: int = 0
    missing: int = 0
    last: float | None = None
    low: float | None = None
    high: float | None = None


def observe(measure: Measure, values: Values, found: Mapping[str, float | None]) -> Values:
    """Return the state after a tick; a name that is not in *found* was not asked for."""
    if measure.name not in found:
        return values
    value = found[measure.name]
    if value is None or value != value:
        return replace(values, missing=values.missing + 1)
    return Values(
        measured=values.measured + 1,
        outside=values.outside + (not inside(measure, value)),
        missing=0,
        last=value,
        low=value if values.low is None else min(values.low, value),
        high=value if values.high is None else max(values.high, value),
    )


def inside(measure: Measure, value: float) -> bool:
    """Return whether a value is within the measure's limits."""
    return (measure.max is None or value <= measure.max) and (
        measure.min is None or value >= measure.min
    )


def judge(measure: Measure, values: Values) -> tuple[Word, str]:
    """Return the verdict and one sentence."""
    limits = _limits(measure)
    if values.outside > measure.failure_limit:
        return "bad", (
            f"{measure.name} was outside {limits} {values.outside} times; "
            f"{measure.failure_limit} are borne"
        )
    if values.missing > measure.missing_limit:
        return "unavailable", f"{measure.name} could not be had {values.missing} times in a row"
    if values.measured <= measure.failure_limit:
        return "unknown", f"{measure.name} was measured {values.measured} times so far"
    return (
        "good",
        f"{measure.name} was outside {limits} {values.outside} of {values.measured} times",
    )


def _limits(measure: Measure) -> str:
    parts = []
    if measure.min is not None:
        parts.append(f"at least {measure.min:g}")
    if measure.max is not None:
        parts.append(f"at most {measure.max:g}")
    return " and ".join(parts) or "no limit"
