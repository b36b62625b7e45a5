"""A deployment, from its plan to its end: seven calls, one a phase."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from turnout.base import logs
from turnout.base.database import of_database
from turnout.base.errors import Aborted, Failed, Refused, TurnoutError
from turnout.coordinator import engine, freezing, planning, undoing
from turnout.coordinator.attempts import explained
from turnout.coordinator.context import Context
from turnout.coordinator.ending import finish
from turnout.coordinator.job import aborted
from turnout.coordinator.run import Run, load
from turnout.domain.phases import Kind, Phase
from turnout.domain.transitions import Status

log = structlog.get_logger(__name__)


async def carry(ctx: Context, deployment: str) -> None:
    """Carry a deployment or a rollback to its end, whatever that is; the durable workflow.

    Nothing but the end of the process keeps it from recording an end.
    """
    with logs.bound(deployment=deployment):
        await _carry_safely(ctx, deployment)


async def _carry_safely(ctx: Context, deployment: str) -> None:
    try:
        await _carry(ctx, deployment)
    except Exception as mistake:
        log.exception("deployment.crashed")
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
    with logs.bound(phase=phase.value):
        await _go(run, phase)


async def _go(run: Run, phase: Phase) -> None:
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


async def end_badly(run: Run, error: TurnoutError) -> bool:
    """Take back what was done and record why it ended.

    Returns:
        Whether it has ended; not when a human, asked past the point of no return, wants it to
        go on.
    """
    undone = await undoing.undo(run, error)
    if undone.frozen is not None:
        if await freezing.freeze(run, error, undone.frozen) == "again":
            return False
        undone = await undoing.undo(run, error, beyond=True)
        error = aborted(run.job.id, f"it had failed: {error}")
    status = _status_of(error)
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
    return True


def _status_of(error: TurnoutError) -> Status:
    if isinstance(error, Aborted):
        return Status.ABORTED
    return Status.REJECTED if isinstance(error, Refused) else Status.FAILED


async def _carry(ctx: Context, deployment: str) -> None:
    planned = await engine.step("plan", planning.record_plan, ctx, deployment)
    if "error" in planned:
        await finish(ctx, deployment, Status.FAILED, planned["error"])
        return
    if "undoing" not in planned:
        # A version before this one began it, and looked in a step of its own.
        planned = await engine.step("resume", planning.see_undoing, ctx, deployment)
    run = await load(ctx, deployment)
    with logs.bound(
        project=run.job.project, environment=run.job.environment, release=run.job.revision.release
    ):
        await _run(run, undoing=planned["undoing"])


async def _run(run: Run, *, undoing: bool) -> None:
    ctx, deployment = run.ctx, run.job.id
    if undoing:
        await end_badly(run, _interrupted(deployment))
        return
    while True:
        try:
            await (deploy(run) if run.job.kind is Kind.DEPLOYMENT else roll_back(run))
        except TurnoutError as error:
            if of_database(error):
                raise
            if await end_badly(run, error):
                return
        else:
            break
    await finish(ctx, deployment, Status.SUCCEEDED, None)


def _interrupted(deployment: str) -> Failed:
    return Failed(
        "The deployment failed, and taking it back was interrupted",
        subject=deployment,
        why="the server could not write its database, most likely because its disk was full",
        next_step="It was taken back since. Look after the server's disk, then deploy again.",
    )
