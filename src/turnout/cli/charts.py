"""Charts of letters: lines over time, for terminals and logs of CI jobs alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

HEIGHT = 8


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        mark: The letter that it is drawn with.
        name: What it shows.
        values: A value for each column; None where nothing is known.
    """

    mark: str
    name: str
    values: Sequence[float | None]


def chart(
    title: str,
    lines: Sequence[Line],
    times: Sequence[datetime],
    show: Callable[[float], str],
    level: float | None = None,
    least: float = 1.0,
) -> Iterator[str]:
    """Yield a chart; where two lines meet, ``#`` stands.

    Args:
        title: What is shown.
        lines: At least one, all of the same length.
        times: When each column is.
        show: Writes a value for the axis.
        level: Where a horizontal line of ``-`` is drawn.
        least: What the axis spans if all values are the same.
    """
    known = [value for line in lines for value in line.values if value is not None]
    names = ", ".join(f"{line.mark} {line.name}" for line in lines)
    yield f"{title}   [{names}{', - the line' if level is not None else ''}]"
    if not known:
        yield "  (nothing was counted)"
        return
    low, high = min(0.0, *known), max(0.0, *known)
    if level is not None:
        low, high = min(low, level), max(high, level)
    if high == low:
        high = low + least

    def row_of(value: float) -> int:
        return round((value - low) / (high - low) * (HEIGHT - 1))

    labels = {HEIGHT - 1: show(high), 0: show(low)}
    if level is not None:
        labels[row_of(level)] = show(level)
    width = max(len(label) for label in labels.values())
    for row in reversed(range(HEIGHT)):
        ground = "-" if level is not None and row_of(level) == row else " "
        cells = "".join(_cell(lines, row_of, column, row, ground) for column in range(len(times)))
        yield f"  {labels.get(row, ''):>{width}} |{cells}".rstrip()
    begin, end = (moment.astimezone().strftime("%H:%M:%S") for moment in (times[0], times[-1]))
    gap = max(1, len(times) - len(begin) - len(end))
    yield f"  {'':{width}} +{'-' * len(times)}"
    yield f"  {'':{width}}  {begin}{' ' * gap}{end}"


def columns(count: int, width: int) -> list[range]:
    """Return which of *count* points stand in each of at most *width* columns."""
    many = min(count, max(1, width))
    edges = [math.floor(column * count / many) for column in range(many + 1)] if many else [0]
    return [range(edges[column], edges[column + 1]) for column in range(many)]


def _cell(
    lines: Sequence[Line], row_of: Callable[[float], int], column: int, row: int, ground: str
) -> str:
    marks = [
        line.mark
        for line in lines
        if (value := line.values[column]) is not None and row_of(value) == row
    ]
    if not marks:
        return ground
    return marks[0] if len(marks) == 1 else "#"
