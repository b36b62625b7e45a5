"""From a request to a plan: facts are gathered, the pure planners decide."""

from __future__ import annotations

import asyncio
from typing import Any

from turnout import rollback, strategies
from turnout.base.errors import Conflict, InvalidInput, NotFound, TurnoutError, Unreachable
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job, job_of
from turnout.coordinator.standing import ScopeRecord, Standing, read_scope, revision_of
from turnout.domain.facts import ScopeState
from turnout.domain.phases import Kind
from turnout.domain.steps import Action, Plan
from turnout.wire.project import Intent

_UNDOING = ("undoing", "undone", "undo_failed")


async def plan_deployment(ctx: Context, release: str, intent: Intent) -> Plan:
    """Return the steps that a deployment would run now.

    Raises:
        InvalidInput: The release is not there, or the strategy is not known.
        Unreachable: A host does not answer.
    """
    _demand_supported(ctx, intent)
    record, _ = await asyncio.gather(
        scope_or_empty(ctx, intent.project, intent.environment),
        asyncio.to_thread(_demand_release, ctx, intent.project, release),
    )
    state = await ctx.fleet.state(record, intent.hosts)
    return strategies.plan(state, revision_of(release, intent), intent)


async def plan_rollback(ctx: Context, project: str, environment: str, to: str | None) -> Plan:
    """Return the steps that a rollback would run now.

    Raises:
        Conflict: There is nothing to go back to, or it is live already.
        InvalidInput: *to* names no kept release, or more than one.
    """
    record = await existing_scope(ctx, project, environment)
    target = await asyncio.to_thread(choose_target, ctx, record, to)
    return await _plan_back(ctx, record, target)


def choose_target(ctx: Context, record: ScopeRecord, to: str | None) -> Standing:
    """Return the entry of the history that a rollback goes back to.

    When nobody names one and a deployment under way has moved traffic already, that is what is
    still recorded as live: the release before the one that users see.

    Raises:
        Conflict: There is nothing to go back to.
        InvalidInput: *to* names no release of this environment that is kept, or several.
    """
    going_back = _moved_traffic(ctx, record.holder)
    if to is None and going_back and record.live is not None:
        target = record.live
    elif to is None:
        if record.previous is None:
            raise Conflict(
                "There is no release to go back to",
                subject=record.scope,
                why=_why_no_way_back(record),
                next_step="Name one with --to; 'turnout releases' lists them.",
            )
        target = record.previous
    else:
        found = {
            entry.revision.release: entry
            for entry in reversed(record.entries)
            if entry.revision.release.startswith(to)
        }
        if len(found) != 1:
            raise InvalidInput(
                "No release of this environment begins like that"
                if not found
                else "More than one release begins like that",
                subject=to[:64],
                why=f"{record.scope} has had {len(record.entries)} releases",
                next_step="'turnout releases' lists them; give more digits.",
            )
        target = next(iter(found.values()))
    if record.live and record.live.revision == target.revision and not going_back:
        raise Conflict(
            f"Release {target.revision.release[:12]} is live already",
            subject=record.scope,
            next_step="Name another release with --to; 'turnout releases' lists them.",
        )
    if not ctx.store.has(record.project, target.revision.release):
        raise Conflict(
            f"Release {target.revision.release[:12]} is not kept any more",
            subject=record.scope,
            next_step="Deploy its files again; 'keep_releases' says how many are kept.",
        )
    return target


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
        plan = await _plan_with_patience(ctx, job)
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
    record = await asyncio.to_thread(_read_scope, ctx, project, environment)
    if record is None:
        raise NotFound(
            "Nothing was ever deployed there",
            subject=f"{project}/{environment}"[:100],
            next_step="'turnout status' shows the environments.",
        )
    return record


async def scope_or_empty(ctx: Context, project: str, environment: str) -> ScopeRecord:
    """Return a scope, or an empty one where nothing was ever deployed."""
    found = await asyncio.to_thread(_read_scope, ctx, project, environment)
    return found or ScopeRecord(project, environment, None, 0, None, None, None, None, False, ())


def _why_no_way_back(record: ScopeRecord) -> str:
    if record.live is None:
        return "no release is live in this environment"
    if len(record.entries) > 1:
        return "no earlier one is left; what a rollback went past has to be named"
    return "none was live here before"


def _read_scope(ctx: Context, project: str, environment: str) -> ScopeRecord | None:
    with ctx.ledger.database.reading() as connection:
        return read_scope(connection, project, environment)


async def _plan_with_patience(ctx: Context, job: Job) -> Plan:
    # The agent may be starting again at this very moment; a plan that waits for it is better
    # than a deployment that fails for a second's gap.
    for pause in (0.2, 0.5, 1.0, 2.0, 4.0):
        try:
            return await _plan_of(ctx, job)
        except Unreachable:
            await asyncio.sleep(pause)
    return await _plan_of(ctx, job)


async def _plan_of(ctx: Context, job: Job) -> Plan:
    if job.kind is Kind.DEPLOYMENT:
        return await plan_deployment(ctx, job.revision.release, job.intent)
    record, _ = await asyncio.gather(
        scope_or_empty(ctx, job.project, job.environment),
        asyncio.to_thread(_demand_release, ctx, job.project, job.revision.release),
    )
    return await _plan_back(ctx, record, record.entry(job.revision.revision))


async def _plan_back(ctx: Context, record: ScopeRecord, target: Standing) -> Plan:
    state: ScopeState = await ctx.fleet.state(record, target.intent.hosts)
    return rollback.plan(state, target.revision, target.intent)


def _moved_traffic(ctx: Context, deployment: str | None) -> bool:
    """Return whether a deployment has begun to move traffic and is not confirmed yet."""
    if deployment is None:
        return False
    status = {row["action"]: row["status"] for row in ctx.ledger.step_rows(deployment)}
    switched = status.get(Action.SWITCH, "pending") != "pending"
    return switched and status.get(Action.CONFIRM) != "done"


def _demand_supported(ctx: Context, intent: Intent) -> None:
    """Refuse what the hosts of this version cannot do yet, before anything is begun."""
    rollout = intent.rollout
    needs = [
        name
        for name, wanted in (
            (f"the strategy {rollout.strategy!r}", rollout.strategy != "blue-green"),
            ("gates", rollout.gates),
            ("commands", rollout.commands),
            ("switch_at", rollout.switch_at),
            ("blue-green analysis", rollout.blue_green != type(rollout.blue_green)()),
            ("run.exclusive", intent.component.run and intent.component.run.exclusive),
        )
        if wanted
    ]
    if needs and not ctx.settings.collects:
        raise InvalidInput(
            f"This version cannot deploy with {needs[0]}",
            subject=f"{intent.project}/{intent.environment}",
            why="its hosts know blue-green",
            next_step="Use --strategy blue-green, or set it in turnout.toml.",
        )


def _demand_release(ctx: Context, project: str, release: str) -> None:
    if not ctx.store.has(project, release):
        raise InvalidInput(
            "The server does not have this release",
            subject=release[:12],
            why=f"no release of {project!r} has this number",
            next_step="Upload it first; 'turnout deploy' does.",
        )
