"""Sparklines and split bars: pictures of one line in a row of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.web.charts.paths import line
from turnout.web.charts.scales import Scale, across
from turnout.web.words import number, say, short
from turnout.wire.api import SplitPart


@dataclass(frozen=True)
class Spark:
    """The traffic of the last minutes."""

    d: str
    label: str


@dataclass(frozen=True)
class Segment:
    """One revision's part of the split bar."""

    look: str
    role: str
    release: str
    revision: str
    weight: int
    place: str
    width: str


def spark(rates: Sequence[float]) -> Spark | None:
    """Return a line of requests a second; None where there is too little to see."""
    if len(rates) < 2:
        return None
    scale = Scale(0, max(*rates, 1.0))
    last = len(rates) - 1
    d = line((index / last, scale.at(rate)) for index, rate in enumerate(rates))
    return Spark(d, f"{number(rates[-1])} requests/s")


def segments(split: Sequence[SplitPart]) -> tuple[Segment, ...]:
    """Return the parts of a split bar in the order given; their widths fill the bar."""
    total = sum(part.weight for part in split)
    if not total:
        return ()
    found = []
    start = 0.0
    for part in split:
        width = part.weight / total
        found.append(
            Segment(
                look=part.role,
                role=say(part.role),
                release=short(part.release),
                revision=part.revision,
                weight=part.weight,
                place=across(start),
                width=across(width),
            )
        )
        start += width
    return tuple(found)
