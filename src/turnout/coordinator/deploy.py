"""A deployment, from its plan to its end: seven calls, one a phase."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from turnout.base.database import of_database
from turnout.base.errors import Aborted, Failed, TurnoutError
from turnout.coordinator import engine, planning, undoing
from turnout.coordinator.attempts import explained
from turnout.coordinator.context import Context
from turnout.coordinator.ending import finish
from turnout.coordinator.run import Run, load
from turnout.domain.phases import Kind, Phase
from turnout.domain.transitions import Status

log = structlog.get_logger(__name__)
_UNDOING = ("undoing", "undone", "undo_failed")


async def carry(ctx: Context, deployment: str) -> None:
    """Carry a deployment or a rollback to its end, whatever that is; the durable workflow.

    Nothing but the end of the process keeps it from recording an end.
    """
    try:
        await _carry(ctx, deployment)
    except Exception as mistake:
        log.exception("deployment.crashed", deployment=deployment)
        if of_database(mistake):
            # Nothing can be recorded now, an end least of all; admission starts it again.
            raise
        error = mistake if isinstance(mistake, TurnoutError) else explained(mistake)
        await finish(ctx, deployment, Status.FAILED, error.to_document())


async def deploy(run: Run) -> None:
    """Go through the seven phases of a deployment."""
    await go(run, Phase.INITIATION)
    await go(run, Phase.PREPARATION)
    await go(run, Phase.STAGING)
    await go(run, Phase.VALIDATION)
    await go(run, Phase.PROMOTION)
    await go(run, Phase.VERIFICATION)
    await go(run, Phase.CLEANUP)


async def roll_back(run: Run) -> None:
    """Go through the four phases of a rollback."""
    await go(run, Phase.INITIATION)
    await go(run, Phase.PREPARATION)
    await go(run, Phase.EXECUTION)
    await go(run, Phase.VERIFICATION)


async def go(run: Run, phase: Phase) -> None:
    """Run the steps of one phase.

    Once the release is confirmed, what fails is told and left to the sweeper: taking it back
    because an old directory could not be removed would help nobody.

    Raises:
        TurnoutError: A step failed for good, or the deployment was called off.
    """
    ledger, deployment = run.ctx.ledger, run.job.id
    await asyncio.to_thread(ledger.begin_phase, deployment, phase.value)
    outcome = "done"
    for position, step in enumerate(run.plan.steps):
        if step.phase is not phase:
            continue
        if position > run.plan.confirmed_at:
            if await run.tidy(position, step) is not None:
                outcome = "failed"
            continue
        try:
            await run.do(position, step)
        except TurnoutError:
            await asyncio.to_thread(ledger.end_phase, deployment, phase.value, "failed")
            raise
    await asyncio.to_thread(ledger.end_phase, deployment, phase.value, outcome)


async def end_badly(run: Run, error: TurnoutError) -> None:
    """Take back what was done and record why it ended."""
    undone = await undoing.undo(run, error)
    status = Status.ABORTED if isinstance(error, Aborted) else Status.FAILED
    old_serves_again = undone.traffic_moved and not undone.traffic_left
    if old_serves_again and status is Status.FAILED and run.job.kind is Kind.DEPLOYMENT:
        status = Status.ROLLED_BACK
    document: dict[str, Any] = error.to_document()
    if undone.left:
        document["facts"] = {**document["facts"], "not_undone": list(undone.left)}
        document["next_step"] = (
            "Some of it could not be taken back; the sweeper goes on trying. "
            + document["next_step"]
        )
    await finish(run.ctx, run.job.id, status, document)


async def _carry(ctx: Context, deployment: str) -> None:
    planned = await engine.step("plan", planning.record_plan, ctx, deployment)
    if "error" in planned:
        await finish(ctx, deployment, Status.FAILED, planned["error"])
        return
    run = await load(ctx, deployment)
    if (await engine.step("resume", _was_undoing, ctx, deployment))["undoing"]:
        await end_badly(run, _interrupted(deployment))
        return
    try:
        if run.job.kind is Kind.DEPLOYMENT:
            await deploy(run)
        else:
            await roll_back(run)
    except TurnoutError as error:
        if of_database(error):
            raise
        await end_badly(run, error)
        return
    await finish(ctx, deployment, Status.SUCCEEDED, None)


async def _was_undoing(ctx: Context, deployment: str) -> dict[str, Any]:
    rows = await asyncio.to_thread(ctx.ledger.step_rows, deployment)
    return {"undoing": any(row["status"] in _UNDOING for row in rows)}


def _interrupted(deployment: str) -> Failed:
    return Failed(
        "The deployment failed, and taking it back was interrupted",
        subject=deployment,
        why="the server could not write its database, most likely because its disk was full",
        next_step="It was taken back since. Look after the server's disk, then deploy again.",
    )
