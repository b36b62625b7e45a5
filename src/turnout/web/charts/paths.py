"""Paths: places between 0 and 1 turned into what the ``d`` of an SVG path says."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

SIDE = 1000
"""The side of the square that the page stretches."""

Place = tuple[float, float]
Maybe = tuple[float, float | None]


def line(places: Iterable[Maybe], breaks: Container[int] = ()) -> str:
    """Return a line through places; it breaks where there is no value, and before *breaks*.

    A value without neighbours becomes a line of no length, which a round cap shows as a dot.
    """
    parts = []
    for run in _runs(places, breaks):
        parts.append("M" + "L".join(_pair(place) for place in run))
        if len(run) == 1:
            parts.append("h0")
    return "".join(parts)


def stairs(places: Sequence[Place]) -> str:
    """Return a line that stays at each value until the next."""
    if not places:
        return ""
    parts = ["M" + _pair(places[0])]
    for x, y in places[1:]:
        parts.append(f"H{_x(x)}V{_y(y)}")
    return "".join(parts)


def ribbon(
    places: Iterable[tuple[float, float | None, float | None]], breaks: Container[int] = ()
) -> str:
    """Return the area between a lower and an upper value; it breaks as a line does."""
    parts = []
    low: list[Place] = []
    high: list[Place] = []
    for index, (x, under, over) in enumerate([*places, (0.0, None, None)]):
        if under is None or over is None or index in breaks:
            if len(low) > 1:
                edge = [*low, *reversed(high)]
                parts.append("M" + "L".join(_pair(place) for place in edge) + "Z")
            low, high = [], []
        if under is not None and over is not None:
            low.append((x, under))
            high.append((x, over))
    return "".join(parts)


def _runs(places: Iterable[Maybe], breaks: Container[int]) -> list[list[Place]]:
    runs: list[list[Place]] = [[]]
    for index, (x, y) in enumerate(places):
        if y is None or index in breaks:
            runs.append([])
        if y is not None:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _pair(place: Place) -> str:
    return f"{_x(place[0])} {_y(place[1])}"


def _x(share: float) -> str:
    return f"{share * SIDE:.1f}"


def _y(share: float) -> str:
    return f"{(1 - share) * SIDE:.1f}"
