"""Points of evidence: the seconds that were judged, put together to as many as a reader wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from turnout.monitoring.analysis import ArmCounts, bands
from turnout.monitoring.histograms import Latency, count_of, cumulative, merged, quantile
from turnout.wire.evidence import ArmPoint, EvidencePoint

Point = Mapping[str, Any]
"""A second as the record has it: ``c`` and ``k`` hold candidate's and control's requests,
errors and latencies, ``w`` and ``cw`` their weights, ``le`` the e-values, ``v`` the verdict."""

_P99 = 0.99


def thinned(
    seen: Sequence[Point], most: int, alpha: float, guards: Mapping[int, float]
) -> Iterator[EvidencePoint]:
    """Yield points, neighbours of one step and one weight put together until they fit.

    The band of p99 is that of all the hold so far, and holds at every moment at once
    (:func:`turnout.monitoring.analysis.bands.quantile`).

    Args:
        most: As many points as are wanted; a few more come where weights change often.
        alpha: How often a band may ever miss.
        guards: Step to the factor by which the dispersion guard shrinks its counts.
    """
    size = -(-len(seen) // most) or 1
    step: int | None = None
    so_far: dict[str, Latency] = {}
    for group in _groups(seen, size):
        if group[0]["step"] != step:
            step, so_far = group[0]["step"], {"c": (), "k": ()}
        last = group[-1]
        arms = {}
        for name in ("c", "k"):
            arm = [point[name] for point in group]
            new = merged(tuple((bound, count) for bound, count in one[2]) for one in arm)
            so_far[name] = merged((so_far[name], new))
            arms[name] = _arm(arm, new, so_far[name], alpha, guards.get(last["step"], 1.0))
        yield EvidencePoint(
            at=datetime.fromtimestamp(last["at"], UTC),
            step=last["step"],
            weight=last["w"],
            control_weight=last["cw"],
            available=all(point["ok"] for point in group),
            candidate=arms["c"],
            control=arms["k"],
            log_e=last["le"],
            verdict=last["v"],
        )


def _groups(seen: Sequence[Point], size: int) -> Iterator[list[Point]]:
    group: list[Point] = []
    for point in seen:
        same = group and (group[0]["step"], group[0]["w"]) == (point["step"], point["w"])
        if group and (not same or len(group) >= size):
            yield group
            group = []
        group.append(point)
    if group:
        yield group


def _arm(
    arms: Sequence[Sequence[Any]], new: Latency, so_far: Latency, alpha: float, guard: float
) -> ArmPoint:
    many = count_of(so_far)
    counts = ArmCounts(many, 0, many, cumulative(so_far))
    low, high = bands.quantile(counts, _P99, alpha, guard)
    return ArmPoint(
        requests=sum(arm[0] for arm in arms),
        errors=sum(arm[1] for arm in arms),
        p50=quantile(new, 0.5),
        p90=quantile(new, 0.9),
        p99=quantile(new, _P99),
        p99_low=low,
        p99_high=high,
    )
