"""Drilling: what a rehearsed rollback has shown, and whether a deployment needs one first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from turnout import rollback
from turnout.base import clock
from turnout.coordinator import timeline
from turnout.coordinator.context import Context
from turnout.coordinator.standing import ScopeRecord
from turnout.domain.facts import ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Plan
from turnout.domain.transitions import ENDED, Status
from turnout.wire.api import DrillResult
from turnout.wire.project import Intent

Row = Mapping[str, Any]


async def with_rehearsal(
    ctx: Context, record: ScopeRecord, state: ScopeState, intent: Intent, plan: Plan
) -> Plan:
    """Return a deployment's plan with a rehearsal of the way back, if its policy wants one.

    A drill of the rollback to the release that is live now, not older than ``drill_within``,
    stands for it.

    Raises:
        InvalidInput: The live release cannot run twice at once.
    """
    within = intent.rollout.drill_within
    if within is None or state.live is None:
        return plan
    since = clock.now() - timedelta(seconds=within)
    revision = state.live.revision

    def drilled() -> str | None:
        with ctx.ledger.database.reading() as connection:
            return timeline.drilled_since(
                connection, record.project, record.environment, revision, since
            )

    if await asyncio.to_thread(drilled) is not None:
        return plan
    return rollback.rehearsed(plan, state)


def result(row: Row, steps: Sequence[Row]) -> DrillResult | None:
    """Return what a drill has shown; None while it runs, and for what is no drill."""
    status = Status(row["status"])
    if not row["drill"] or status not in ENDED:
        return None
    failed = next((step for step in steps if step["error"]), None)
    proven = [step for step in steps if step["phase"] == Phase.EXECUTION]
    ready = None
    if proven and all(step["finished_at"] and step["status"] == "done" for step in proven):
        last = max(step["finished_at"] for step in proven)
        ready = round((last - row["started_at"]).total_seconds(), 3)
    works = status is Status.SUCCEEDED
    fails = f"{failed['title']}: {failed['error']}" if failed and not works else row["reason"]
    return DrillResult(would_work=works, ready_s=ready, fails="" if works else fails)
