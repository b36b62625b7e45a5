"""Judging: what was counted, put before the judge of :mod:`turnout.monitoring.analysis`.

The judge's state is kept as plain JSON with the step that waits.  Where the control has no
traffic any more, its past is told beside the candidate's seconds, as evenly as whole requests
allow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.coordinator.job import Job
from turnout.monitoring import analysis
from turnout.monitoring.histograms import count_of, cumulative, merged
from turnout.monitoring.series import Series
from turnout.monitoring.ticks import Arm
from turnout.wire.evidence import VerdictDocument
from turnout.wire.rollout import AnalysisSpec
from turnout.wire.statistics import HostStatistics

HISTORY_S = 600.0
"""How much of the live release's past is compared with."""
NOTHING = Arm()
Past = dict[str, Any]
Judged = dict[str, Any]


def check(spec: AnalysisSpec) -> None:
    """Check that an analysis can judge, before anything depends on it.

    Raises:
        InvalidInput: A limit cannot be, or two measures share a name.
    """
    analysis.policy_from_json(spec.model_dump(mode="json"))


def begin(
    job: Job, args: Mapping[str, Any], past: Past | None, spec: AnalysisSpec | None = None
) -> Judged:
    """Return the state of a judge that has seen nothing.

    Args:
        args: Of the step that judges.
        past: Of the control, where that has no traffic any more.
        spec: Another analysis than the deployment's own.
    """
    return begin_watch(spec or job.intent.rollout.analysis, args, past)


def begin_watch(spec: AnalysisSpec, args: Mapping[str, Any], past: Past | None) -> Judged:
    """Return the state of a judge outside any deployment."""
    document = spec.model_dump(mode="json")
    if (args.get("history") and past is None) or not args.get("control"):
        document = _without_comparison(document)
    if args.get("min_requests"):
        document["min_requests"] = args["min_requests"]
    policy = analysis.policy_from_json(document)
    return {
        "judge": analysis.state_to_json(analysis.start(policy)),
        "compared": bool(args.get("control")),
        "mirrored": args.get("weight") == 0,
        "past": past,
        "told": 0,
        "at": 0.0,
    }


def observe(
    state: Judged,
    *,
    available: bool,
    candidate: Arm,
    control: Arm,
    weights: tuple[int, int],
    metrics: Mapping[str, float | None],
) -> Judged:
    """Return the state after one more second.

    Args:
        available: Whether every host could be asked.
        weights: Of candidate and control, in percent.
        metrics: What was measured elsewhere in that second.
    """
    told = state["told"]
    if state["past"] is not None:
        control, told = _from_past(state["past"], told), told + 1
    both = sum(weights)
    plain = state["compared"] and state["past"] is None and not state["mirrored"]
    at = state["at"] + 1.0
    tick = analysis.Tick(
        at=at,
        candidate=_counts(candidate),
        control=_counts(control) if state["compared"] else None,
        share=weights[0] / both if plain and both else None,
        available=available,
        values=metrics,
    )
    judge = analysis.observe(analysis.state_from_json(state["judge"]), tick)
    return {**state, "judge": analysis.state_to_json(judge), "told": told, "at": at}


def verdict(state: Judged) -> VerdictDocument:
    """Return what is to be said by now."""
    found = analysis.verdict(analysis.state_from_json(state["judge"]))
    return VerdictDocument.model_validate(_finite(found.to_json()))


def confidence(found: VerdictDocument) -> float:
    """Return how sure it is that the candidate harms nobody, 0 to 1."""
    return float(found.evidence.get("sure", 0.0))


def trusted(found: VerdictDocument) -> bool:
    """Return whether the split is as asked, so that the arms may be compared."""
    split = found.evidence.get("split") or {}
    log_e, line = split.get("log_e"), split.get("log_threshold")
    return log_e is None or line is None or log_e < line


def log_e(found: VerdictDocument) -> dict[str, float]:
    """Return measure to the logarithm of its e-value, of those that have one."""
    return {
        name: round(evidence["log_e"], 4)
        for name, evidence in found.metrics.items()
        if evidence.get("log_e") is not None
    }


def guard(found: VerdictDocument, measure: str) -> float:
    """Return the factor by which the dispersion guard shrinks the counts of a measure."""
    return float(found.metrics.get(measure, {}).get("guard") or 1.0)


def log_thresholds(spec: AnalysisSpec) -> dict[str, float]:
    """Return measure to the line that the logarithm of its e-value crosses for *bad*."""
    policy = analysis.policy_from_json(spec.model_dump(mode="json"))
    return {
        measure.name: math.log(1 / (policy.alpha * policy.share_of_alpha(measure)))
        for measure in policy.measures
        if measure.kind != "value"
    }


def past(
    series: Series, scope: str, revision: str, since: float, until: float | None = None
) -> Past | None:
    """Return what a revision answered in a time that is over; None if nothing.  Blocks."""
    found = series.read(scope, since, until, revision=revision)
    points = [point for one in found.revisions for point in one.points]
    requests = sum(point.counts.requests for point in points)
    if not requests:
        return None
    seconds = max(1, round(sum(point.counts.seconds for point in points)))
    return {
        "seconds": seconds,
        "requests": requests,
        "errors": sum(point.counts.errors for point in points),
        "latency": merged(point.counts.latency for point in points),
    }


class Restarts:
    """Counts how often the instances of a revision were started anew since the first look."""

    def __init__(self, revision: str) -> None:
        self._revision = revision
        self._first: dict[tuple[str, int], int] = {}

    def since(self, latest: Mapping[str, HostStatistics], scope: str) -> int:
        """Return how many there were."""
        total = 0
        for host, found in latest.items():
            for one in found.instances:
                if (one.scope, one.revision) == (scope, self._revision):
                    first = self._first.setdefault((host, one.index), one.restarts)
                    total += max(0, one.restarts - first)
        return total


def _from_past(told: Past, second: int) -> Arm:
    """Return the part of the past that belongs beside one second; nothing behind its end."""
    seconds = told["seconds"]
    if second >= seconds:
        return NOTHING

    def part(total: int) -> int:
        return int(total * (second + 1) // seconds - total * second // seconds)

    return Arm(
        part(told["requests"]),
        part(told["errors"]),
        tuple((bound, many) for bound, count in told["latency"] if (many := part(count))),
    )


def _counts(arm: Arm) -> analysis.ArmCounts:
    return analysis.ArmCounts(
        arm.requests, arm.errors, count_of(arm.latency), cumulative(arm.latency)
    )


def _without_comparison(document: dict[str, Any]) -> dict[str, Any]:
    """Return an analysis in which only absolute limits are left: there is no control."""
    kept = dict(document)
    for name, limits in document.items():
        if name == "error_rate" or name.startswith("latency_"):
            absolute = limits is not None and limits.get("max") is not None
            kept[name] = {**limits, "max_increase": None} if absolute else None
    return kept


def _finite(value: Any) -> Any:
    """Return JSON without the numbers that it has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(one) for one in value]
    return value
