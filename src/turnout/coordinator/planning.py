"""From a request to a plan: facts are gathered, the pure planners decide."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from turnout import strategies
from turnout.base.errors import InvalidInput, NotFound, TurnoutError, Unreachable
from turnout.coordinator import choosing, drilling, judging, oflate, standing
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job, job_of
from turnout.coordinator.standing import ScopeRecord, revision_of
from turnout.coordinator.stepbook import Row
from turnout.domain.phases import Kind
from turnout.domain.steps import Plan
from turnout.wire.project import Intent

_UNDOING = ("undoing", "undone", "undo_failed")


async def plan_deployment(ctx: Context, release: str, intent: Intent) -> Plan:
    """Return the steps that a deployment would run now.

    Raises:
        InvalidInput: The release is not there, the strategy is not known, or its analysis cannot
            judge.
        Unreachable: A host does not answer.
    """
    judging.check(intent.rollout.analysis)
    record, _ = await asyncio.gather(
        scope_or_empty(ctx, intent.project, intent.environment),
        asyncio.to_thread(_demand_release, ctx, intent.project, release),
    )
    state, known = await asyncio.gather(
        ctx.fleet.state(record, intent.hosts), asyncio.to_thread(oflate.experience, ctx, record)
    )
    state = replace(state, requests_per_minute=known.requests_per_minute, successes=known.successes)
    made = strategies.plan(state, revision_of(release, intent), intent)
    return await drilling.with_rehearsal(ctx, record, state, intent, made)


async def record_plan(ctx: Context, deployment: str) -> dict[str, Any]:
    """Make the plan of a deployment that begins and record it; a checkpointed step.

    Returns:
        ``undoing``, whether its steps were being taken back already; or the ``error`` that keeps
        it from being planned.
    """
    row = await asyncio.to_thread(ctx.ledger.row, deployment)
    if row["plan"] is not None:
        return await see_undoing(ctx, deployment)
    job = job_of(row)
    # The sweeper ends what it is doing here; from now on it leaves the scope alone.
    for name in (job.scope, f"{job.scope}/{job.revision.revision}"):
        async with ctx.tidying[name]:
            pass
    try:
        plan = await _plan_with_patience(ctx, job, row)
    except TurnoutError as error:
        return {"error": error.to_document()}
    await asyncio.to_thread(ctx.ledger.save_plan, deployment, plan)
    return {"undoing": False}


async def see_undoing(ctx: Context, deployment: str) -> dict[str, Any]:
    """Return whether taking back the steps of a deployment was begun: ``undoing``."""
    rows = await asyncio.to_thread(ctx.ledger.step_rows, deployment)
    return {"undoing": any(row["status"] in _UNDOING for row in rows)}


async def existing_scope(ctx: Context, project: str, environment: str) -> ScopeRecord:
    """Return a scope in which something was deployed at least once.

    Raises:
        NotFound: Nothing was ever deployed there.
    """
    record = await asyncio.to_thread(standing.read, ctx.ledger.database, project, environment)
    if record is None:
        raise NotFound(
            "Nothing was ever deployed there",
            subject=f"{project}/{environment}"[:100],
            next_step="'turnout status' shows the environments.",
        )
    return record


async def scope_or_empty(ctx: Context, project: str, environment: str) -> ScopeRecord:
    """Return a scope, or an empty one where nothing was ever deployed."""
    found = await asyncio.to_thread(standing.read, ctx.ledger.database, project, environment)
    return found or ScopeRecord(project, environment, None, 0, None, None, None, None, False, ())


async def _plan_with_patience(ctx: Context, job: Job, row: Row) -> Plan:
    # The agent may be starting again at this very moment; a plan that waits for it is better
    # than a deployment that fails for a second's gap.
    for pause in (0.2, 0.5, 1.0, 2.0, 4.0):
        try:
            return await _plan_of(ctx, job, row)
        except Unreachable:
            await asyncio.sleep(pause)
    return await _plan_of(ctx, job, row)


async def _plan_of(ctx: Context, job: Job, row: Row) -> Plan:
    if job.kind is Kind.DEPLOYMENT:
        return await plan_deployment(ctx, job.revision.release, job.intent)
    record = await scope_or_empty(ctx, job.project, job.environment)
    target = choosing.of_row(row)
    return await choosing.plan_back(ctx, record, target, drill=row["drill"], forced=row["forced"])


def _demand_release(ctx: Context, project: str, release: str) -> None:
    if not ctx.store.has(project, release):
        raise InvalidInput(
            "The server does not have this release",
            subject=release[:12],
            why=f"no release of {project!r} has this number",
            next_step="Upload it first; 'turnout deploy' does.",
        )
