"""Costing: what made an environment go back, and how many live requests failed meanwhile.

Requests are counted from the series, whose last second is known a little after an end.  So the
count is written down some seconds later, and a server that was killed before writes it when it
is up again.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta

import structlog

from turnout.base import clock
from turnout.base.errors import Aborted, TurnoutError
from turnout.coordinator.context import Context
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.stepbook import Row
from turnout.coordinator.tables import deployments
from turnout.domain.phases import Kind
from turnout.domain.transitions import Status
from turnout.monitoring.series import Series
from turnout.wire.api import Cause
from turnout.wire.evidence import VerdictDocument

log = structlog.get_logger(__name__)

EVERY_S = 1.0
SETTLED = timedelta(seconds=3)
"""So long after an end its last second is certainly closed."""
OLDEST = timedelta(hours=1)
"""What ended longer ago is not counted any more: nobody collected then, or nobody could."""


def cause_of(error: TurnoutError) -> Cause:
    """Return what kind of trouble made a deployment go back by itself."""
    if isinstance(error, Aborted):
        return "manual"
    verdict = error.facts.get("verdict")
    if verdict is not None:
        return cause_of_verdict(VerdictDocument.model_validate(verdict))
    return "verdict" if {"requests", "errors"} <= error.facts.keys() else "failure"


def cause_of_verdict(verdict: VerdictDocument) -> Cause:
    """Return ``slo`` if only absolute limits made a verdict bad, else ``verdict``."""
    bad = [
        one
        for one in verdict.metrics.values()
        if one.get("verdict") == "bad" and not one.get("dry_run")
    ]
    # What is compared with the release before has a margin; the others have a limit only.
    limits = [one for one in bad if one.get("max_increase") is None]
    return "slo" if bad and len(limits) == len(bad) else "verdict"


def note_cause(ledger: Ledger, deployment: str, cause: Cause) -> None:
    """Write down what made a deployment go back; the first cause stays."""
    with ledger.database.transaction() as connection:
        connection.execute(
            deployments.update()
            .where((deployments.c.id == deployment) & (deployments.c.cause == ""))
            .values(cause=cause)
        )


def failed_requests(series: Series, scope: str, since: float, until: float) -> int:
    """Return the requests of a scope that failed in a time, its first and last second whole.

    Blocks.

    Args:
        since: Its beginning, seconds since 1970.
        until: Its end.
    """
    found = series.read(scope, math.floor(since), math.floor(until) + 1, resolution=1)
    return sum(point.counts.errors for one in found.revisions for point in one.points)


class Costing:
    """Counts what deployments and rollbacks have cost; start :meth:`work` once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def work(self) -> None:
        """Count for ever."""
        while True:
            try:
                for row in await asyncio.to_thread(self._uncounted):
                    await asyncio.to_thread(self._count, row)
            except Exception:
                # The next round tries again; nothing waits for this.
                log.exception("costing.failed")
            await asyncio.sleep(EVERY_S)

    def _uncounted(self) -> list[Row]:
        now = clock.now()
        query = deployments.select().where(
            deployments.c.failed_requests.is_(None)
            & deployments.c.started_at.is_not(None)
            & (deployments.c.finished_at < now - SETTLED)
            & (deployments.c.finished_at > now - OLDEST)
        )
        with self._ctx.ledger.database.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _count(self, row: Row) -> None:
        begin, end = row["started_at"], row["finished_at"]
        scope = f"{row['project']}/{row['environment']}"
        count = failed_requests(self._ctx.series, scope, begin.timestamp(), end.timestamp())
        uncounted = (deployments.c.id == row["id"]) & deployments.c.failed_requests.is_(None)
        ways = row["previous_release"], row["release"]
        # A deployment that was taken back went from its own release to the one before.
        forward = row["kind"] == Kind.ROLLBACK or row["status"] == Status.SUCCEEDED
        origin, target = ways if forward else reversed(ways)
        ledger = self._ctx.ledger
        with ledger.database.transaction() as connection:
            changed = connection.execute(
                deployments.update().where(uncounted).values(failed_requests=count)
            )
            if changed.rowcount:
                ledger.tell(
                    connection,
                    row,
                    "requests.counted",
                    by=row["requested_by"],
                    cause=row["cause"],
                    why=row["reason"] or row["message"],
                    origin=origin,
                    target=target,
                    took_s=round((end - begin).total_seconds(), 3),
                    failed_requests=count,
                )
