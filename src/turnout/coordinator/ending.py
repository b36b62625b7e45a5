"""The end of a deployment: its status, its cause, and the scope given to the next in line."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
import structlog

from turnout.base import clock
from turnout.coordinator.context import Context
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.stepbook import Row
from turnout.coordinator.tables import deployments, phases, scopes
from turnout.domain.transitions import ENDED, Status

log = structlog.get_logger(__name__)


async def finish(
    ctx: Context,
    deployment: str,
    status: Status,
    problem: dict[str, Any] | None,
    *,
    only_from: Status | None = None,
) -> None:
    """Record how a deployment ended and let go of its scope, in one transaction.

    One that has ended already stays as it is.

    Args:
        problem: The error document behind a bad end.
        only_from: Do it only if the deployment has this status at that moment.
    """

    def write() -> None:
        with ctx.ledger.database.transaction() as connection:
            row = ctx.ledger.row_in(connection, deployment)
            if only_from is None or row["status"] == only_from.value:
                finish_in(ctx.ledger, connection, row, status, problem)
        ctx.ledger.ring_queue()

    await asyncio.to_thread(write)
    why = _reason(problem) if problem else ""
    log.info("deployment.ended", deployment=deployment, status=status.value, why=why)
    ctx.alarms.pop(deployment, None)
    ctx.bells.pop(deployment, None)


def finish_in(
    ledger: Ledger,
    connection: sa.Connection,
    row: Row,
    status: Status,
    problem: dict[str, Any] | None,
) -> None:
    """Do what :func:`finish` does, within the caller's transaction."""
    if Status(row["status"]) in ENDED:
        return
    reason = _reason(problem) if problem else ""
    connection.execute(
        deployments.update()
        .where(deployments.c.id == row["id"])
        .values(reason=reason, problem=problem)
    )
    connection.execute(
        phases.update()
        .where((phases.c.deployment == row["id"]) & (phases.c.status == "running"))
        .values(status="failed" if problem else "done", finished_at=clock.now())
    )
    connection.execute(scopes.update().where(scopes.c.holder == row["id"]).values(holder=None))
    ledger.set_status(
        connection,
        row,
        status,
        "deployment.finished",
        reason=reason,
        release=row["release"],
        strategy=row["strategy"],
    )


def problem_of(what: str, subject: str, why: str, next_step: str, kind: str) -> dict[str, Any]:
    """Return the document of an error that nobody raised, such as a deadline that passed."""
    return {
        "problem": kind,
        "what": what,
        "subject": subject,
        "why": why,
        "next_step": next_step,
        "facts": {},
    }


def _reason(problem: dict[str, Any]) -> str:
    text = str(problem["what"])
    if problem["subject"] and problem["subject"] not in text:
        text += f": {problem['subject']}"
    if problem["why"]:
        text += f" ({problem['why']})"
    if problem["next_step"]:
        text += f". {problem['next_step']}"
    return text
