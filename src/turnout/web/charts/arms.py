"""The two arms of a comparison, and how the last value of a line is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from turnout.web.charts.chart import Line
from turnout.wire.evidence import ArmPoint, EvidencePoint

Arm = Callable[[EvidencePoint], ArmPoint]
"""Takes one arm out of a point."""


def candidate(point: EvidencePoint) -> ArmPoint:
    """Return what the candidate counted."""
    return point.candidate


def control(point: EvidencePoint) -> ArmPoint:
    """Return what it is compared with."""
    return point.control


ARMS: tuple[tuple[str, Arm], ...] = (("candidate", candidate), ("control", control))


def last(values: Sequence[float | None], text: Callable[[float], str]) -> str:
    """Return the last known value as *text* says it, or nothing."""
    known = next((value for value in reversed(values) if value is not None), None)
    return "" if known is None else text(known)


def said(lines: Iterable[Line]) -> str:
    """Return a sentence with the last value of each line."""
    found = [f"{one.label} {one.last}" for one in lines if one.last]
    return f"Last: {', '.join(found)}." if found else ""
