"""Watching: a release that has just become live is judged on, and goes back when it turns bad.

A restart of the server watches on from the recorded seconds.  What was judged while nobody
held the scope ends with the next deployment, whose own analysis takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.coordinator import costing, judging, standing
from turnout.coordinator.context import Context
from turnout.coordinator.standing import ScopeRecord
from turnout.coordinator.tables import deployments, history, scopes
from turnout.domain.phases import Kind
from turnout.domain.steps import plan_from_json
from turnout.domain.transitions import ENDED
from turnout.wire.api import Cause

log = structlog.get_logger(__name__)
LOOK_S = 1.0
LONGEST = timedelta(days=7)
CRASHES = 3
"""So many restarts of a release's instances while it is watched are a crash loop."""

_CAUSES: tuple[Cause, ...] = ("verdict", "slo", "crash-loop")
"""What makes a watched release go back."""

GoBack = Callable[[ScopeRecord, str, Cause], Awaitable[None]]
"""Starts a rollback of a scope for a reason of a kind."""


class Watcher:
    """Watches every scope whose release is new; start :meth:`work` once.

    Args:
        ctx: The coordinator's parts.
        go_back: Starts the rollback of a scope.
    """

    def __init__(self, ctx: Context, go_back: GoBack) -> None:
        self._ctx = ctx
        self._go_back = go_back
        self._watched: dict[tuple[str, str, int], asyncio.Task[None]] = {}

    async def work(self) -> None:
        """Watch for ever."""
        try:
            while True:
                try:
                    await self._look()
                except Exception:
                    log.exception("watching.failed")
                await asyncio.sleep(LOOK_S)
        finally:
            tasks = list(self._watched.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        fresh = await asyncio.to_thread(self._fresh)
        for key in set(self._watched) - fresh:
            self._watched.pop(key).cancel()
        for key in fresh - set(self._watched):
            self._watched[key] = asyncio.create_task(self._watch_safely(key))

    def _fresh(self) -> set[tuple[str, str, int]]:
        """Return the scopes that nobody moves and whose release became live not long ago."""
        query = sa.select(scopes.c.project, scopes.c.environment, scopes.c.live).where(
            scopes.c.holder.is_(None)
            & scopes.c.live.is_not(None)
            & (scopes.c.live_since > clock.now() - LONGEST)
        )
        with self._ctx.ledger.database.reading() as connection:
            return {(row[0], row[1], row[2]) for row in connection.execute(query)}

    async def _watch_safely(self, key: tuple[str, str, int]) -> None:
        project, environment, _live = key
        try:
            record = await asyncio.to_thread(
                standing.read, self._ctx.ledger.database, project, environment
            )
            if record is None or record.live is None or record.live_since is None:
                return
            if not await asyncio.to_thread(self._tried, record):
                await self._watch(record, record.live_since)
        except TurnoutError as error:
            log.warning("watching.ended", scope=f"{project}/{environment}", why=str(error))
        except Exception:
            log.exception("watching.failed", scope=f"{project}/{environment}")

    async def _watch(self, record: ScopeRecord, since: datetime) -> None:
        assert record.live is not None
        intent = record.live.intent
        until = since + timedelta(seconds=intent.rollout.watch)
        if clock.now() >= until:
            return
        candidate = record.live.revision.revision
        before = record.previous.revision.revision if record.previous else None
        past = None
        if before is not None:
            begin = since.timestamp() - judging.HISTORY_S
            past = await asyncio.to_thread(
                judging.past, self._ctx.series, record.scope, before, begin, since.timestamp()
            )
        args = {"candidate": candidate, "control": before, "history": True}
        state = judging.begin_watch(intent.rollout.analysis, args, past)
        restarts = judging.Restarts(candidate)
        hosts = intent.hosts or self._ctx.fleet.names
        async for second in self._ctx.ticks.follow(
            record.scope, hosts, after=int(since.timestamp())
        ):
            if clock.now() >= until:
                return
            state = judging.observe(
                state,
                available=second.available,
                candidate=second.arm(candidate),
                control=judging.NOTHING,
                weights=(100, 0),
                metrics={},
            )
            verdict = judging.verdict(state)
            reason = verdict.reason if verdict.verdict == "bad" else ""
            cause = costing.cause_of_verdict(verdict)
            crashed = restarts.since(self._ctx.series.latest(), record.scope)
            if not reason and crashed >= CRASHES:
                reason = f"its instances were restarted {crashed} times since it is live"
                cause = "crash-loop"
            if reason:
                await self._end(record, reason, cause)
                return

    async def _end(self, record: ScopeRecord, reason: str, cause: Cause) -> None:
        irreversible = await asyncio.to_thread(self._irreversible, record)
        await asyncio.to_thread(self._tell, record, reason, irreversible)
        if irreversible:
            log.error("watching.no_way_back", scope=record.scope, why=reason, step=irreversible)
        elif record.previous is not None:
            try:
                await self._go_back(record, reason, cause)
            except TurnoutError as error:
                # Somebody has to look at it: say that there is no way back by itself, and why.
                await asyncio.to_thread(self._tell, record, reason, str(error))
                raise

    def _tried(self, record: ScopeRecord) -> bool:
        """Return whether going back from what is live was tried already and failed.

        It would fail again, and again, and each try is before the deployment that mends it.
        """
        table = deployments.c
        query = sa.select(table.id).where(
            (table.project == record.project)
            & (table.environment == record.environment)
            & (table.kind == Kind.ROLLBACK.value)
            & table.cause.in_(_CAUSES)
            & table.status.in_([status.value for status in ENDED])
            & (table.created_at >= record.live_since)
        )
        with self._ctx.ledger.database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def _irreversible(self, record: ScopeRecord) -> str:
        """Return the title of the step that forbids going back by itself, if there is one."""
        assert record.live is not None
        query = (
            sa.select(deployments.c.plan)
            .join(history, history.c.deployment == deployments.c.id)
            .where(history.c.id == record.live.id)
        )
        with self._ctx.ledger.database.reading() as connection:
            plan = connection.execute(query).scalar()
        if not plan:
            return ""
        found = plan_from_json(plan)
        return found.steps[found.no_return_at].title if found.no_return_at is not None else ""

    def _tell(self, record: ScopeRecord, reason: str, irreversible: str) -> None:
        ledger = self._ctx.ledger
        with ledger.database.transaction() as connection:
            ledger.events.append(
                connection,
                "watch.alarm",
                project=record.project,
                environment=record.environment,
                reason=reason,
                no_return=irreversible,
                goes_back=bool(record.previous and not irreversible),
            )
