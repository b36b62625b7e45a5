"""Evidence as it is read again: why a deployment decided, and what another policy would have said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from turnout.base.errors import Impossible, InvalidInput
from turnout.coordinator import judging
from turnout.coordinator.asked import ASKED, by_people
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job, job_of
from turnout.coordinator.points import Point, thinned
from turnout.coordinator.tables import decisions, evidence, holds
from turnout.domain.steps import Plan, plan_from_json
from turnout.monitoring.sources.asking import shown
from turnout.monitoring.ticks import Arm
from turnout.wire.evidence import (
    Decision,
    EvidenceDocument,
    ReplayDocument,
    VerdictDocument,
)
from turnout.wire.rollout import AnalysisSpec

MOST_POINTS = 2000
REPLAYED_POINTS = 300


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
    alpha = job.intent.rollout.analysis.alpha
    guards = {
        step: judging.guard(judging.verdict(state), "latency_p99") for step, state in states.items()
    }
    shown = await asyncio.to_thread(lambda: tuple(thinned(seen, points, alpha, guards)))
    return EvidenceDocument(
        deployment=deployment,
        project=job.project,
        environment=job.environment,
        strategy=row["strategy"],
        release=job.revision.release,
        control=plan.live_release if plan else None,
        alpha=alpha,
        log_threshold=judging.log_thresholds(job.intent.rollout.analysis),
        points=shown,
        decisions=tuple(decided),
        verdict=_last(states),
        policy=_policy(job.intent.rollout.analysis),
    )


async def replay(ctx: Context, deployment: str, policy: AnalysisSpec) -> ReplayDocument:
    """Return what another policy would have said of the recorded seconds.

    Raises:
        NotFound: There is no such deployment.
        Impossible: It has judged nothing.
    """
    row, seen, _, states = await asyncio.to_thread(_read, ctx, deployment)
    if not seen:
        raise Impossible(
            "The deployment has no evidence that could be replayed",
            subject=deployment,
            why="it judged no live traffic",
            next_step="Deploy with a canary, or with an analysis after the switch.",
        )
    job, plan = job_of(row), _plan(row)
    assert plan is not None
    pasts = {position: state["past"] for position, state in states.items()}
    found = await asyncio.to_thread(_judge_again, job, plan, policy, seen, pasts)
    return ReplayDocument(
        deployment=deployment,
        verdict=found.verdict,
        actual=_last(states),
        first=found.first,
        decisions=tuple(found.decisions),
        points=tuple(thinned(found.points, REPLAYED_POINTS, policy.alpha, found.guards)),
    )


def _read(
    ctx: Context, deployment: str
) -> tuple[Mapping[str, Any], list[Point], list[Decision], dict[int, dict[str, Any]]]:
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
        query = sa.select(holds.c.position, holds.c.state)
        query = query.where(holds.c.deployment == deployment).order_by(holds.c.position)
        states = {
            position: dict(state)["judge"]
            for position, state in connection.execute(query)
            if state and "judge" in state
        }
    decided += by_people(_asked(ctx, deployment), seen)
    return row, seen, sorted(decided, key=lambda one: one.at), states


def _asked(ctx: Context, deployment: str) -> Iterator[tuple[datetime, str, dict[str, Any]]]:
    after, page = 0, 500
    while found := ctx.ledger.events.after(after, deployment=deployment, limit=page):
        for event in found:
            if event.kind in ASKED:
                yield event.at, event.kind, event.data
        after = found[-1].seq
        if len(found) < page:
            return


def _policy(spec: AnalysisSpec) -> dict[str, Any]:
    """Return an analysis as it may be shown: of an address that may hold a secret only the host."""
    document = spec.model_dump(mode="json")
    for metric in document["metrics"]:
        if metric["url"] is not None:
            metric["url"] = shown(metric["url"])
    return document


def _plan(row: Mapping[str, Any]) -> Plan | None:
    return plan_from_json(row["plan"]) if row["plan"] else None


def _last(states: Mapping[int, dict[str, Any]]) -> VerdictDocument | None:
    """Return the verdict of the last step that judged."""
    return judging.verdict(states[max(states)]) if states else None


@dataclass
class _Again:
    """What another policy says of the record; of each step as it was judged: from nothing."""

    verdict: VerdictDocument = field(default_factory=lambda: VerdictDocument(verdict="unknown"))
    first: datetime | None = None
    decisions: list[Decision] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    guards: dict[int, float] = field(default_factory=dict)


def _judge_again(
    job: Job,
    plan: Plan,
    policy: AnalysisSpec,
    seen: Sequence[Point],
    pasts: Mapping[int, judging.Past | None],
) -> _Again:
    again = _Again()
    step, state, told = None, None, "unknown"
    for point in seen:
        if point["step"] != step:
            step, told = point["step"], "unknown"
            state = judging.begin(job, plan.steps[step].args, pasts.get(step), policy)
        assert state is not None
        state = judging.observe(
            state,
            available=point["ok"],
            candidate=_arm(point["c"]),
            control=_arm(point["k"]),
            weights=(point["w"], point["cw"]),
            metrics=point.get("m", {}),
        )
        verdict = again.verdict = judging.verdict(state)
        again.guards[point["step"]] = judging.guard(verdict, "latency_p99")
        again.points.append({**point, "le": judging.log_e(verdict), "v": verdict.verdict})
        if verdict.verdict != told:
            told = verdict.verdict
            at = datetime.fromtimestamp(point["at"], UTC)
            if told in ("good", "bad") and again.first is None:
                again.first = at
            again.decisions.append(
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
    return again


def _arm(written: Sequence[Any]) -> Arm:
    return Arm(written[0], written[1], tuple((bound, count) for bound, count in written[2]))
