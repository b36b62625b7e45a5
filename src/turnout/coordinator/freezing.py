"""Freezing: past the point of no return a failure leaves traffic where it is and calls a human."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Literal

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.coordinator import engine
from turnout.coordinator.answering import SKIPPABLE
from turnout.coordinator.holdbook import HoldBook
from turnout.coordinator.run import CONTROL, Run
from turnout.coordinator.tables import phases
from turnout.coordinator.waits import WAYS_OUT
from turnout.domain.steps import Action
from turnout.wire.api import WaitingFor

REMIND_S = 6 * 3600.0
"""How often is said again that somebody has to decide."""


async def freeze(run: Run, error: TurnoutError, line: str) -> Literal["again", "abort"]:
    """Leave everything as it is until a human decides.

    Args:
        error: What failed.
        line: The step past which nothing goes back by itself.

    Returns:
        ``again``: the steps go on, the failed one is tried once more or skipped; ``abort``:
        what can be taken back is to be taken back.
    """
    # What was said of the deployment before it failed decides nothing about the failure.
    while await engine.receive(CONTROL, 0) is not None:
        pass
    await engine.step("freeze", _freeze, run, str(error), line)
    verb = ""
    while True:
        # Before any message too: an abort is written down, and its message may be among those.
        word = await engine.step("thaw", _thaw, run, verb)
        if word["do"] in ("again", "abort"):
            return "again" if word["do"] == "again" else "abort"
        message = await engine.receive(CONTROL, REMIND_S)
        if message is None:
            await engine.step("remind", _remind, run, str(error), line)
        verb = str(message.get("verb", "")) if message else ""


async def _freeze(run: Run, why: str, line: str) -> dict[str, Any]:
    position = await asyncio.to_thread(_failed_at, run)
    book = HoldBook(run.ctx.ledger, run.job.id, position)
    await asyncio.to_thread(book.decide, "freeze", 0, "unknown", why)
    waiting = WaitingFor(
        kind="frozen",
        name=line,
        since=clock.now(),
        until=clock.now() + timedelta(seconds=REMIND_S),
        reason=f"{why}; '{line}' cannot be taken back, so traffic stays where it is",
        ways_out=WAYS_OUT["frozen"],
    )
    await asyncio.to_thread(
        lambda: book.wait_for(waiting, "deployment.frozen", reason=why, line=line)
    )
    return {"position": position}


async def _remind(run: Run, why: str, line: str) -> dict[str, Any]:
    def tell() -> None:
        ledger = run.ctx.ledger
        with ledger.database.transaction() as connection:
            row = ledger.row_in(connection, run.job.id)
            ledger.tell(connection, row, "deployment.frozen", reason=why, line=line, again=True)

    await asyncio.to_thread(tell)
    return {}


async def _thaw(run: Run, verb: str) -> dict[str, Any]:
    return await asyncio.to_thread(_thaw_now, run, verb)


def _thaw_now(run: Run, verb: str) -> dict[str, Any]:
    ledger, deployment = run.ctx.ledger, run.job.id
    row = ledger.row(deployment)
    if row["control"] == "abort":
        book = HoldBook(ledger, deployment, _failed_at(run))
        book.wait_no_more("deployment.thawed", verb="abort")
        return {"do": "abort"}
    if verb not in ("retry", "promote"):
        return {"do": "wait"}
    position = _failed_at(run)
    with ledger.database.transaction() as connection:
        step = ledger.step_in(connection, deployment, position)
        if verb == "promote" and Action(step["action"]) in SKIPPABLE | {Action.CHECK}:
            ledger.end_step_in(
                connection,
                deployment,
                position,
                "done",
                result={"skipped_by": row["promoted_by"]},
                error="",
            )
        connection.execute(
            phases.update()
            .where((phases.c.deployment == deployment) & (phases.c.status == "failed"))
            .values(status="running", finished_at=None)
        )
    book = HoldBook(ledger, deployment, position)
    if verb == "retry":
        book.forget_evidence()
    book.wait_no_more("deployment.thawed", verb=verb)
    return {"do": "again"}


def _failed_at(run: Run) -> int:
    """Return the position of the step that failed."""
    rows = run.ctx.ledger.step_rows(run.job.id)
    return int(
        next((row["position"] for row in rows if row["status"] not in ("done", "pending")), 0)
    )
