"""One chart as a template draws it: axes, lines, bands, rules and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from turnout.web.charts.scales import Scale, Tick, across, elapsed
from turnout.wire.evidence import Decision, EvidencePoint

_LEAST_APART = 0.035
"""Share of the width below which two numbers beside each other could not be read."""
_SILENCE_S = 5.0
"""Points are a second apart or, put together, evenly more; what is further apart was a pause."""
_SILENCE_TIMES = 3.0


@dataclass(frozen=True)
class Line:
    """A line, told from the others by its dashes as well as by its colour.

    Attributes:
        look: Which of the styles it has, such as ``candidate``.
        label: What it is.
        d: Its path.
        last: Its last value as people read it.
    """

    look: str
    label: str
    d: str
    last: str = ""


@dataclass(frozen=True)
class Rule:
    """A level that means something."""

    place: str
    label: str


@dataclass(frozen=True)
class Mark:
    """A decision; its number is that in the list, empty where there is no room for it."""

    place: str
    number: str
    title: str


@dataclass(frozen=True)
class Stretch:
    """A time in which nothing could be measured."""

    place: str
    width: str


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        key: Names it in the page.
        summary: What it shows, for who does not see it.
    """

    key: str
    title: str
    summary: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]
    areas: tuple[Line, ...] = ()
    rules: tuple[Rule, ...] = ()
    marks: tuple[Mark, ...] = ()
    blind: tuple[Stretch, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What all charts of one deployment share: the time axis and what is marked on it.

    Attributes:
        pauses: Points that come after a time in which nobody judged.
        turns: Those, and points that begin a step, with which the evidence begins anew.
    """

    time: Scale
    across: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    blind: tuple[Stretch, ...]
    pauses: frozenset[int]
    turns: frozenset[int]

    def at(self, moment: datetime) -> float:
        """Return the place of a time."""
        return self.time.at(moment.timestamp())


def frame(points: Sequence[EvidencePoint], decisions: Sequence[Decision]) -> Frame:
    """Return the common frame of the charts; *points* must not be empty."""
    moments = [point.at.timestamp() for point in points]
    time = Scale(moments[0], max(moments[-1], moments[0] + 1))
    pauses = _pauses(moments)
    steps = {
        index
        for index, (before, after) in enumerate(pairwise(points), 1)
        if before.step != after.step
    }
    return Frame(
        time=time,
        across=elapsed(time.high - time.low),
        marks=_marks(time, decisions),
        blind=_blind(time, points),
        pauses=pauses,
        turns=pauses | steps,
    )


def _pauses(moments: Sequence[float]) -> frozenset[int]:
    apart = [after - before for before, after in pairwise(moments)]
    if not apart:
        return frozenset()
    longest = max(_SILENCE_S, _SILENCE_TIMES * median(apart))
    return frozenset(index for index, seconds in enumerate(apart, 1) if seconds > longest)


def _marks(time: Scale, decisions: Sequence[Decision]) -> tuple[Mark, ...]:
    marks = []
    numbered = -1.0
    for index, decision in enumerate(decisions, 1):
        place = time.at(decision.at.timestamp())
        has_room = place - numbered >= _LEAST_APART
        if has_room:
            numbered = place
        title = f"{index}. {decision.what.replace('-', ' ')}, weight {decision.weight} %"
        marks.append(Mark(across(place), str(index) if has_room else "", title))
    return tuple(marks)


def _blind(time: Scale, points: Sequence[EvidencePoint]) -> tuple[Stretch, ...]:
    found: list[list[float]] = []
    before, seen = time.low, True
    for point in points:
        now = point.at.timestamp()
        if not point.available:
            if seen:
                found.append([before, now])
            else:
                found[-1][1] = now
        before, seen = now, point.available
    return tuple(
        Stretch(across(time.at(start)), across(time.at(end) - time.at(start)))
        for start, end in found
        if end > start
    )
