"""Admission: who moves an environment next, and how many deployments run at once.

One deployment at a time holds a scope; the others of that scope wait in the order of their
priority, then of their coming.  A row's ``holder`` is the lock, taken in the transaction that
makes the deployment run, so a crash leaves either a waiting or a running one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog

from turnout.base import clock
from turnout.coordinator.context import Context
from turnout.coordinator.ending import finish, problem_of
from turnout.coordinator.engine import Engine
from turnout.coordinator.tables import deployments, scopes
from turnout.domain.queueing import Waiting, in_turn
from turnout.domain.transitions import UNDER_WAY, Status

log = structlog.get_logger(__name__)
PRIORITIES = {"low": 0, "normal": 1, "high": 2, "urgent": 3}

_LOOK_AGAIN_S = 1.0
"""Another process may have written; without its bell we look by ourselves this often."""
_MOST_STARTS = 20
_CHECK_S = 5.0
"""How often deployments under way are compared with the engine's workflows."""


class Admission:
    """The queue before the engine."""

    def __init__(self, ctx: Context, engine: Engine) -> None:
        self._ctx = ctx
        self._engine = engine
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._checked = float("-inf")
        self._stalled: set[str] = set()
        ctx.ledger.ring_queue = self.ring

    def ring(self) -> None:
        """Look at the queue again soon; may be called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._bell.set)
        except RuntimeError:
            # The loop has been closed: the next launch looks at the queue anyway.
            return

    async def work(self) -> None:
        """Admit whoever may run, for ever; started once when the server starts."""
        while True:
            self._bell.clear()
            try:
                await self.look()
            except Exception:
                # The queue must outlive whatever went wrong with one entry.
                log.exception("admission.failed")
                self._checked = float("-inf")
            try:
                # Not wait_for, which before Python 3.12 can swallow the cancellation at the end.
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._bell.wait()
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Look once: admit, end what waited too long, take up what the engine does not know."""
        if clock.monotonic() - self._checked >= _CHECK_S:
            await self._take_up()
            self._checked = clock.monotonic()
        for deployment in await asyncio.to_thread(self._admit):
            await self._engine.start(deployment)
        await self._end_overdue()

    async def _take_up(self) -> None:
        """Start workflows that were admitted but died before the engine knew them.

        A workflow that could not record its end, for the disk was full, is started again: what
        is done stays done, and the rest is finished or taken back.  One that is lost again and
        again is a mistake of ours; the scope must not be held for ever because of it.
        """
        stalled, self._stalled = self._stalled, set()
        for deployment in await asyncio.to_thread(self._under_way):
            if not await self._engine.known(deployment):
                await self._engine.start(deployment)
                continue
            if not await self._engine.ended(deployment):
                if not await self._engine.stalled(deployment):
                    continue
                if deployment not in stalled:
                    # Once may be the moment before the engine takes it up.
                    self._stalled.add(deployment)
                    continue
            log.error("deployment.lost", deployment=deployment)
            if await self._engine.start_again(deployment) > _MOST_STARTS:
                problem = problem_of(
                    "The deployment was given up by its engine",
                    deployment,
                    "its workflow ended without recording an end",
                    "Look at the environment with 'turnout status', then deploy again.",
                    "failed",
                )
                await finish(self._ctx, deployment, Status.FAILED, problem)

    def _under_way(self) -> Sequence[str]:
        query = sa.select(deployments.c.id).where(
            deployments.c.status.in_([status.value for status in UNDER_WAY])
        )
        with self._ctx.ledger.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def _admit(self) -> list[str]:
        """Take the next deployments out of the queue; return their names."""
        ledger = self._ctx.ledger
        with ledger.database.reading() as connection:
            if connection.execute(_may_run().limit(1)).first() is None:
                return []
        admitted = []
        with ledger.database.transaction() as connection:
            running = list(
                connection.execute(
                    sa.select(deployments.c.project).where(
                        deployments.c.status == Status.RUNNING.value
                    )
                ).scalars()
            )
            room = self._ctx.settings.concurrency - len(running)
            if room <= 0:
                return []
            rows = {row["id"]: dict(row) for row in connection.execute(_may_run()).mappings()}
            queue = [
                Waiting(
                    row["id"],
                    row["project"],
                    row["priority"],
                    (clock.now() - row["created_at"]).total_seconds(),
                )
                for row in rows.values()
            ]
            for waiting in in_turn(queue, running):
                row = rows[waiting.id]
                taken = connection.execute(
                    scopes.update()
                    .where(
                        (scopes.c.project == row["project"])
                        & (scopes.c.environment == row["environment"])
                        & scopes.c.holder.is_(None)
                    )
                    .values(holder=row["id"])
                )
                if not taken.rowcount:
                    continue
                ledger.set_status(connection, row, Status.RUNNING, "deployment.started")
                admitted.append(str(row["id"]))
                if len(admitted) == room:
                    break
        return admitted

    async def _end_overdue(self) -> None:
        hours = self._ctx.settings.queue_deadline_s / 3600
        limit = clock.now() - timedelta(hours=hours)
        overdue = sa.select(deployments.c.id).where(
            (deployments.c.status == Status.QUEUED.value) & (deployments.c.created_at < limit)
        )

        def read() -> Sequence[str]:
            with self._ctx.ledger.database.reading() as connection:
                return list(connection.execute(overdue).scalars())

        for deployment in await asyncio.to_thread(read):
            problem = problem_of(
                "The deployment waited too long for its turn",
                deployment,
                f"{hours:g} hours have passed",
                "See what holds the environment with 'turnout status'.",
                "aborted",
            )
            await finish(self._ctx, deployment, Status.ABORTED, problem, only_from=Status.QUEUED)


def _may_run() -> sa.Select[tuple[object, ...]]:
    """Return the query for those who wait while nobody holds their scope, in their order."""
    columns = ("id", "project", "environment", "priority", "status", "created_at", "started_at")
    here = (scopes.c.project == deployments.c.project) & (
        scopes.c.environment == deployments.c.environment
    )
    return (
        sa.select(*(deployments.c[name] for name in columns))
        .join(scopes, here)
        .where((deployments.c.status == Status.QUEUED.value) & scopes.c.holder.is_(None))
        .order_by(deployments.c.created_at, deployments.c.id)
    )
