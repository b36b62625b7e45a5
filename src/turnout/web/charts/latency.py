"""The picture of latencies: quantiles of both arms, and what is known of their p99."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from turnout.web.charts.arms import ARMS, Arm, last, said
from turnout.web.charts.chart import Chart, Frame, Line
from turnout.web.charts.paths import line, ribbon
from turnout.web.charts.scales import Scale, quarters, rounded_up
from turnout.web.words import number
from turnout.wire.evidence import EvidencePoint


def latency(points: Sequence[EvidencePoint], shared: Frame) -> Chart | None:
    """Return the chart of latencies in milliseconds; None where nothing was timed."""
    times = [value for point in points if (value := _slowest(point)) is not None]
    if not times:
        return None
    scale = Scale(0, rounded_up(max(times)))

    def drawn(look: str, label: str, values: list[float | None]) -> Line:
        places = [
            (shared.at(point.at), None if value is None else scale.at(value))
            for point, value in zip(points, values, strict=True)
        ]
        text = last(values, lambda value: f"{number(value)} ms")
        return Line(look, label, line(places, shared.pauses), text)

    lines = [
        drawn("candidate", "candidate p99", [point.candidate.p99 for point in points]),
        drawn("control", "control p99", [point.control.p99 for point in points]),
        drawn("candidate-faint", "candidate p50", [point.candidate.p50 for point in points]),
        drawn("control-faint", "control p50", [point.control.p50 for point in points]),
    ]
    areas = [area for name, arm in ARMS for area in _bands(points, name, arm, scale, shared)]
    lines = [one for one in lines if one.d]
    return Chart(
        key="latency",
        title="Latency",
        summary=f"Time to answer in milliseconds. {said(lines)}",
        across=shared.across,
        up=quarters(scale, "{:.4g} ms"),
        lines=tuple(lines),
        areas=tuple(areas),
        marks=shared.marks,
        blind=shared.blind,
    )


def _bands(
    points: Sequence[EvidencePoint], name: str, arm: Arm, scale: Scale, shared: Frame
) -> Iterable[Line]:
    """Yield the band of an arm's p99, and where few answers leave it open above, its rest."""
    closed: list[tuple[float, float | None, float | None]] = []
    above: list[tuple[float, float | None, float | None]] = []
    was_open = False
    for point in points:
        at, one = shared.at(point.at), arm(point)
        low = None if one.p99_low is None else scale.at(one.p99_low)
        high = None if one.p99_high is None else scale.at(one.p99_high)
        is_open = low is not None and high is None
        closed.append((at, 0.0 if low is None else low, high))
        # It goes on to the point at which its upper end becomes known.
        above.append((at, low if is_open or was_open else None, 1.0))
        was_open = is_open
    if d := ribbon(closed, shared.turns):
        yield Line(name, f"{name}: confidence band of p99", d)
    if d := ribbon(above, shared.turns):
        yield Line(f"{name}-open", f"{name}: band of p99, open above", d)


def _slowest(point: EvidencePoint) -> float | None:
    # The band's upper end may be far above all that was measured: it is cut off at the edge.
    values = [point.candidate.p99, point.control.p99, point.candidate.p50, point.control.p50]
    bounds = [
        min(arm.p99_high, 2 * arm.p99)
        for arm in (point.candidate, point.control)
        if arm.p99_high is not None and arm.p99 is not None
    ]
    return max((value for value in [*values, *bounds] if value is not None), default=None)
