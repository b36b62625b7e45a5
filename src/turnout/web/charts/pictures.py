"""The pictures of a deployment: weight, errors, latency and the weight of the evidence."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from turnout.web.charts.arms import ARMS, Arm, last, said
from turnout.web.charts.chart import Chart, Frame, Line, Rule, frame
from turnout.web.charts.latency import latency
from turnout.web.charts.paths import line, stairs
from turnout.web.charts.scales import Scale, down, powers, quarters, rounded_up
from turnout.web.words import percent, power, say
from turnout.wire.evidence import EvidenceDocument, EvidencePoint

_SMOOTHED = 5
"""Points that an error rate is taken over: of one second alone it is all or nothing."""
_LOWEST = -3.0
"""Decades below one that an e-value is drawn down to; of a good release it sinks without end."""
_UNBOUND = 300.0
_LOOKS = ("first", "second", "third", "fourth")


def pictures(document: EvidenceDocument) -> tuple[Chart, ...]:
    """Return the charts that a deployment's evidence gives; none without points."""
    if not document.points:
        return ()
    shared = frame(document.points, document.decisions)
    drawn = [_weight(document.points, shared)]
    if any(point.candidate.requests or point.control.requests for point in document.points):
        drawn.append(_errors(document.points, shared))
    if (slow := latency(document.points, shared)) is not None:
        drawn.append(slow)
    if any(point.log_e for point in document.points):
        drawn.append(_evidence(document, shared))
    return tuple(drawn)


def _weight(points: Sequence[EvidencePoint], shared: Frame) -> Chart:
    scale = Scale(0, 100)
    places = [(shared.at(point.at), scale.at(point.weight)) for point in points]
    lines = [Line("candidate", "candidate", stairs(places), f"{points[-1].weight} %")]
    if any(point.control_weight for point in points):
        places = [(shared.at(point.at), scale.at(point.control_weight)) for point in points]
        lines.append(Line("control", "control", stairs(places), f"{points[-1].control_weight} %"))
    return Chart(
        key="weight",
        title="Weight",
        summary=f"The candidate's share of the traffic over time, now {points[-1].weight} percent.",
        across=shared.across,
        up=quarters(scale, "{:.0f} %"),
        lines=tuple(lines),
        marks=shared.marks,
        blind=shared.blind,
    )


def _errors(points: Sequence[EvidencePoint], shared: Frame) -> Chart:
    arms = [(name, _rates(points, arm)) for name, arm in ARMS]
    most = max((rate for _, rates in arms for rate in rates if rate is not None), default=0.0)
    scale = Scale(0, rounded_up(max(most, 0.001) * 100))
    lines = []
    for look, rates in arms:
        if any(rate is not None for rate in rates):
            places = [
                (shared.at(point.at), None if rate is None else scale.at(rate * 100))
                for point, rate in zip(points, rates, strict=True)
            ]
            lines.append(Line(look, look, line(places, shared.pauses), last(rates, percent)))
    return Chart(
        key="errors",
        title="Error rate",
        summary=f"Share of answers that are server errors. {said(lines)}",
        across=shared.across,
        up=quarters(scale, "{:.3g} %"),
        lines=tuple(lines),
        marks=shared.marks,
        blind=shared.blind,
    )


def _rates(points: Sequence[EvidencePoint], arm: Arm) -> list[float | None]:
    window: deque[tuple[int, int]] = deque(maxlen=_SMOOTHED)
    rates: list[float | None] = []
    for point in points:
        if not point.available:
            window.clear()
            rates.append(None)
            continue
        window.append((arm(point).errors, arm(point).requests))
        total = sum(requests for _, requests in window)
        rates.append(sum(errors for errors, _ in window) / total if total else None)
    return rates


def _evidence(document: EvidenceDocument, shared: Frame) -> Chart:
    points = document.points
    measures = list(dict.fromkeys(name for point in points for name in point.log_e))
    limits = sorted({_decades(value) for value in document.log_threshold.values()})
    reached = [_decades(value) for point in points for value in point.log_e.values()]
    top = max([*limits, 0.0])
    # Half as far again as the line, so that what crosses it is seen to go on.
    high = max(top * 1.25, min(max(reached, default=0.0), top * 2), 1.0)
    scale = Scale(max(_LOWEST, min([*reached, -1.0])), high)
    lines = []
    for index, name in enumerate(measures):
        values = [point.log_e.get(name) for point in points]
        places = [
            (shared.at(point.at), None if value is None else scale.at(_decades(value)))
            for point, value in zip(points, values, strict=True)
        ]
        lines.append(
            Line(
                _LOOKS[index % len(_LOOKS)],
                say(name),
                line(places, shared.turns),
                last(values, lambda value: _e_value(_decades(value))),
            )
        )
    return Chart(
        key="evidence",
        title="Evidence that it is worse",
        summary=(
            "E-values on a logarithmic scale; one that crosses its line says that the candidate "
            f"is worse. {said(lines)}"
        ),
        across=shared.across,
        up=powers(scale),
        lines=tuple(lines),
        rules=tuple(Rule(down(scale.at(limit)), f"bad from {_e_value(limit)}") for limit in limits),
        marks=shared.marks,
        blind=shared.blind,
    )


def _decades(natural: float) -> float:
    # Evidence may be without bound; a picture is not.
    return max(-_UNBOUND, min(_UNBOUND, natural / math.log(10)))


def _e_value(decades: float) -> str:
    if -2 <= decades < 4:
        return f"{10**decades:.3g}"
    whole = math.floor(decades)
    return f"{10 ** (decades - whole):.1f} · {power(whole)}"
