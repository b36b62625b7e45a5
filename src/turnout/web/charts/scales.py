"""Scales: values to places between 0 and 1, and the ticks that people read them by."""

from __future__ import annotations

import math
from dataclasses import dataclass

from turnout.web.words import power


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        place: Percent from the left or from the top, as SVG takes it.
        label: What stands beside it.
    """

    place: str
    label: str


@dataclass(frozen=True)
class Scale:
    """A linear scale; what lies outside is put on its edge."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the place of *value*, 0 at the low end and 1 at the high one."""
        if self.high <= self.low:
            return 0.0
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def across(share: float) -> str:
    """Return a place from the left as percent."""
    return f"{share * 100:.2f}%"


def down(share: float) -> str:
    """Return a place from the bottom as the percent from the top that SVG counts in."""
    return f"{(1 - share) * 100:.2f}%"


def rounded_up(value: float) -> float:
    """Return the next of 1, 2, 2.5 and 5 times a power of ten; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(
        (factor * power for factor in (1, 2, 2.5, 5) if factor * power >= value * (1 - 1e-9)),
        10 * power,
    )


def quarters(scale: Scale, label: str) -> tuple[Tick, ...]:
    """Return ticks at the ends and the middle of a scale; *label* formats a value."""
    middle = (scale.low + scale.high) / 2
    return tuple(
        Tick(down(scale.at(value)), label.format(value))
        for value in (scale.low, middle, scale.high)
    )


def powers(scale: Scale) -> tuple[Tick, ...]:
    """Return ticks at whole powers of ten of a scale whose values are logarithms."""
    low, high = math.ceil(scale.low), math.floor(scale.high)
    step = max(1, math.ceil((high - low) / 5))
    first = math.ceil(low / step) * step
    return tuple(Tick(down(scale.at(at)), power(at)) for at in range(first, high + 1, step))


_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def elapsed(seconds: float) -> tuple[Tick, ...]:
    """Return at most five ticks for the time since the left edge."""
    step: float = (
        next((step for step in _STEPS_S if seconds / step <= 4), 0)
        or math.ceil(seconds / 4 / 86400) * 86400
    )
    scale = Scale(0, seconds)
    count = int(seconds // step) if seconds > 0 else 0
    return tuple(
        Tick(across(scale.at(index * step)), _clock(index * step)) for index in range(count + 1)
    )


def _clock(seconds: float) -> str:
    if seconds == 0:
        return "0"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size:.0f} {unit}"
    if seconds > 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s"
