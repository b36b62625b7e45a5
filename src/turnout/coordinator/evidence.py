"""Evidence as it is read again: why a deployment decided, and what another policy would have said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from turnout.base.errors import Conflict, InvalidInput
from turnout.coordinator import judging
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job, job_of
from turnout.coordinator.tables import decisions, evidence, holds
from turnout.domain.steps import Action, Plan, plan_from_json
from turnout.monitoring.histograms import merged, quantile
from turnout.monitoring.ticks import Arm
from turnout.wire.evidence import (
    ArmPoint,
    Decision,
    EvidenceDocument,
    EvidencePoint,
    ReplayDocument,
    VerdictDocument,
)
from turnout.wire.rollout import AnalysisSpec

MOST_POINTS = 2000
_JUDGED = (Action.HOLD, Action.RAMP)
Point = Mapping[str, Any]


async def evidence_of(ctx: Context, deployment: str, points: int = 300) -> EvidenceDocument:
    """Return what a deployment saw and decided.

    Args:
        points: At most so many; seconds are put together to make them fit.

    Raises:
        NotFound: There is no such deployment.
        InvalidInput: *points* is out of range.
    """
    if not 1 <= points <= MOST_POINTS:
        raise InvalidInput(f"Evidence has 1 to {MOST_POINTS} points", subject=str(points))
    row, seen, decided, states = await asyncio.to_thread(_read, ctx, deployment)
    job, plan = job_of(row), _plan(row)
    last = states[-1] if states else None
    return EvidenceDocument(
        deployment=deployment,
        project=job.project,
        environment=job.environment,
        strategy=row["strategy"],
        release=job.revision.release,
        control=plan.live_release if plan else None,
        alpha=job.intent.rollout.analysis.alpha,
        log_threshold=judging.log_thresholds(job.intent.rollout.analysis),
        points=tuple(_thinned(seen, points)),
        decisions=tuple(decided),
        verdict=judging.verdict(last) if last else None,
        policy=job.intent.rollout.analysis.model_dump(mode="json"),
    )


async def replay(ctx: Context, deployment: str, policy: AnalysisSpec) -> ReplayDocument:
    """Return what another policy would have said of the recorded seconds.

    Raises:
        NotFound: There is no such deployment.
        Conflict: It has judged nothing.
    """
    row, seen, _, states = await asyncio.to_thread(_read, ctx, deployment)
    if not seen:
        raise Conflict(
            "The deployment has no evidence that could be replayed",
            subject=deployment,
            why="it judged no live traffic",
            next_step="Deploy with a canary, or with an analysis after the switch.",
        )
    job, plan = job_of(row), _plan(row)
    assert plan is not None
    found = await asyncio.to_thread(_judge_again, job, plan, policy, seen)
    actual = judging.verdict(states[-1]) if states else None
    return ReplayDocument(
        deployment=deployment,
        verdict=found[0],
        actual=actual,
        first=found[1],
        decisions=tuple(found[2]),
    )


def _read(
    ctx: Context, deployment: str
) -> tuple[Mapping[str, Any], list[Point], list[Decision], list[dict[str, Any]]]:
    row = ctx.ledger.row(deployment)
    here = evidence.c.deployment == deployment
    with ctx.ledger.database.reading() as connection:
        seen: list[Point] = [
            {**point, "step": found["position"]}
            for found in connection.execute(
                evidence.select().where(here).order_by(evidence.c.id)
            ).mappings()
            for point in found["points"]
        ]
        decided = [
            Decision.model_validate({**found, "step": found["position"]})
            for found in connection.execute(
                decisions.select()
                .where(decisions.c.deployment == deployment)
                .order_by(decisions.c.id)
            ).mappings()
        ]
        states: list[dict[str, Any]] = [
            dict(found)["judge"]
            for found in connection.execute(
                sa.select(holds.c.state)
                .where(holds.c.deployment == deployment)
                .order_by(holds.c.position)
            ).scalars()
            if found and "judge" in found
        ]
    return row, seen, decided, states


def _plan(row: Mapping[str, Any]) -> Plan | None:
    return plan_from_json(row["plan"]) if row["plan"] else None


def _judge_again(
    job: Job, plan: Plan, policy: AnalysisSpec, seen: Sequence[Point]
) -> tuple[VerdictDocument, datetime | None, list[Decision]]:
    """Judge step after step, each as it was judged: from nothing."""
    step, state, told = None, None, "unknown"
    first: datetime | None = None
    decided: list[Decision] = []
    verdict = VerdictDocument(verdict="unknown")
    for point in seen:
        if point["step"] != step:
            step, told = point["step"], "unknown"
            args = plan.steps[step].args
            state = judging.begin(job, args, None, policy)
        assert state is not None
        state = judging.observe(
            state,
            available=point["ok"],
            candidate=_arm(point["c"]),
            control=_arm(point["k"]),
            weights=(point["w"], point["cw"]),
            metrics=point.get("m", {}),
        )
        verdict = judging.verdict(state)
        if verdict.verdict != told:
            told = verdict.verdict
            at = datetime.fromtimestamp(point["at"], UTC)
            if told in ("good", "bad") and first is None:
                first = at
            decided.append(
                Decision(
                    at=at,
                    step=point["step"],
                    what="verdict",
                    weight=point["w"],
                    verdict=verdict.verdict,
                    reason=verdict.reason,
                )
            )
            if told == "bad":
                break
    return verdict, first, decided


def _thinned(seen: Sequence[Point], most: int) -> Iterator[EvidencePoint]:
    """Yield points, neighbours of one step and one weight put together until they fit."""
    size = -(-len(seen) // most) or 1
    group: list[Point] = []
    for point in seen:
        same = group and (group[0]["step"], group[0]["w"]) == (point["step"], point["w"])
        if group and (not same or len(group) >= size):
            yield _together(group)
            group = []
        group.append(point)
    if group:
        yield _together(group)


def _together(group: Sequence[Point]) -> EvidencePoint:
    last = group[-1]
    return EvidencePoint(
        at=datetime.fromtimestamp(last["at"], UTC),
        step=last["step"],
        weight=last["w"],
        control_weight=last["cw"],
        available=all(point["ok"] for point in group),
        candidate=_arm_point([point["c"] for point in group]),
        control=_arm_point([point["k"] for point in group]),
        log_e=last["le"],
        verdict=last["v"],
    )


def _arm_point(arms: Sequence[Sequence[Any]]) -> ArmPoint:
    latency = merged(tuple((bound, count) for bound, count in arm[2]) for arm in arms)
    return ArmPoint(
        requests=sum(arm[0] for arm in arms),
        errors=sum(arm[1] for arm in arms),
        p50=quantile(latency, 0.5),
        p90=quantile(latency, 0.9),
        p99=quantile(latency, 0.99),
    )


def _arm(written: Sequence[Any]) -> Arm:
    return Arm(written[0], written[1], tuple((bound, count) for bound, count in written[2]))
