"""What is counted between two looks: one tick, and how it reads as JSON."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.base.errors import InvalidInput
from turnout.wire.statistics import BOUNDS_MS as BOUNDS_MS

Histogram = tuple[tuple[float, int], ...]
"""Upper bounds in milliseconds, rising, each with how many were *not slower* (cumulative)."""

_NEAR = 0.005
"""A bound that is so near, relatively, is the bound that was meant."""


@dataclass(frozen=True)
class ArmCounts:
    """What one arm answered in a tick.

    Attributes:
        requests: Requests that were answered.
        errors: Those that failed (5xx).
        timed: Those with a latency; what the histogram's bounds leave over was slower than all.
        latency: Their cumulative histogram; empty if none was taken.
    """

    requests: int = 0
    errors: int = 0
    timed: int = 0
    latency: Histogram = ()

    def plus(self, other: ArmCounts) -> ArmCounts:
        """Return both counted together."""
        return ArmCounts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.timed + other.timed,
            merge(self.latency, other.latency),
        )


@dataclass(frozen=True)
class Tick:
    """What happened since the tick before.

    Attributes:
        at: Its end, in seconds on any clock that does not go back.
        candidate: The release on trial.
        control: What it is compared with; None: there is nothing to compare with.
        share: The candidate's share, of both arms, that was asked of the router; None: unknown.
        available: Whether every host could be asked; if not, the counts may be short.
        values: Measures from elsewhere; a value of None: asked for, and not to be had.
    """

    at: float
    candidate: ArmCounts = ArmCounts()
    control: ArmCounts | None = None
    share: float | None = None
    available: bool = True
    values: Mapping[str, float | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the tick as plain JSON values."""
        return {
            "at": self.at,
            "candidate": arm_to_json(self.candidate),
            "control": None if self.control is None else arm_to_json(self.control),
            "share": self.share,
            "available": self.available,
            "values": dict(self.values),
        }


def tick_from_json(document: Mapping[str, Any]) -> Tick:
    """Return the tick that :meth:`Tick.to_json` described.

    Raises:
        InvalidInput: It is none, or a count in it cannot be.
    """
    try:
        control = document.get("control")
        share = document.get("share")
        values = {
            str(name): None if value is None else float(value)
            for name, value in dict(document.get("values") or {}).items()
        }
        return Tick(
            at=_finite(document["at"]),
            candidate=arm_from_json(document.get("candidate") or {}),
            control=None if control is None else arm_from_json(control),
            share=None if share is None else _finite(share),
            available=bool(document.get("available", True)),
            values=values,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput("A tick of the record cannot be read", why=str(error)) from error


def arm_to_json(arm: ArmCounts) -> dict[str, Any]:
    """Return one arm as plain JSON values."""
    return {
        "requests": arm.requests,
        "errors": arm.errors,
        "timed": arm.timed,
        "latency": [[bound, count] for bound, count in arm.latency],
    }


def arm_from_json(document: Mapping[str, Any]) -> ArmCounts:
    """Return the arm that :func:`arm_to_json` described.

    Raises:
        ValueError: A count is negative, or a histogram falls.
    """
    requests, errors = int(document.get("requests", 0)), int(document.get("errors", 0))
    latency = histogram(document.get("latency") or ())
    timed = int(document.get("timed", latency[-1][1] if latency else 0))
    if min(requests, errors, timed) < 0 or (latency and latency[-1][1] > timed):
        raise ValueError("counts are not negative, and a histogram counts no more than were timed")
    return ArmCounts(requests, errors, timed, latency)


def histogram(pairs: Iterable[Iterable[Any]] | Mapping[Any, Any]) -> Histogram:
    """Return a cumulative histogram from pairs or a mapping of bound (ms) to count.

    Raises:
        ValueError: The counts do not rise with the bounds, or a bound is not a finite number.
    """
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    found = sorted((_finite(bound), int(count)) for bound, count in items)
    counts = [count for _, count in found]
    if counts != sorted(counts) or (counts and counts[0] < 0):
        raise ValueError("the counts of a cumulative histogram rise with its bounds")
    if len({bound for bound, _ in found}) != len(found):
        raise ValueError("a histogram has each bound once")
    return tuple(found)


def merge(one: Histogram, other: Histogram) -> Histogram:
    """Return two histograms counted together; where bounds differ, those of both."""
    if not one or not other:
        return one or other
    if [bound for bound, _ in one] == [bound for bound, _ in other]:
        return tuple([(a[0], a[1] + b[1]) for a, b in zip(one, other, strict=True)])
    bounds = sorted({bound for bound, _ in one} | {bound for bound, _ in other})
    return tuple((bound, not_slower(one, bound) + not_slower(other, bound)) for bound in bounds)


def not_slower(latency: Histogram, bound: float) -> int:
    """Return how many are known to have taken at most *bound* milliseconds."""
    place = bisect_right(latency, bound, key=lambda pair: pair[0])
    return latency[place - 1][1] if place else 0


def bound_at_least(latency: Histogram, limit: float) -> float | None:
    """Return the first bound that is not under *limit*; None if there is none."""
    place = bisect_left(latency, limit * (1 - _NEAR), key=lambda pair: pair[0])
    return latency[place][0] if place < len(latency) else None


def bound_at_most(latency: Histogram, limit: float) -> float | None:
    """Return the last bound that is not over *limit*; None if there is none."""
    place = bisect_right(latency, limit * (1 + _NEAR), key=lambda pair: pair[0])
    return latency[place - 1][0] if place else None


def quantile(arm: ArmCounts, share: float) -> float | None:
    """Return the first bound that *share* of the timed requests did not exceed.

    None if nothing was timed, or the quantile lies above every bound.
    """
    if not arm.timed:
        return None
    place = bisect_left(arm.latency, share * arm.timed, key=lambda pair: pair[1])
    return arm.latency[place][0] if place < len(arm.latency) else None


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
