"""The sweeper: what runs and is wanted by nobody any more is drained, stopped and pruned.

It works from what it sees, not from what it remembers: whatever a crash, an undo that failed
or a warm time that ran out has left behind is found the same way.  A scope that a deployment
holds is left alone: what changes a scope happens under its lock in ``ctx.tidying``, after a
look at who holds it.
"""

from __future__ import annotations

import asyncio

import structlog

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.coordinator import routing, standing
from turnout.coordinator.context import Context
from turnout.coordinator.fleet import ROUTER, host_state
from turnout.coordinator.standing import ScopeRecord
from turnout.coordinator.tables import deployments
from turnout.domain.facts import HostState
from turnout.domain.parts import is_up
from turnout.domain.transitions import ENDED
from turnout.wire import agent as wire

log = structlog.get_logger(__name__)


class Sweeper:
    """Looks at every scope again and again; each revision is retired by a task of its own.

    A stream that takes its whole drain time thus holds up nobody else.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._retiring: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    async def work(self) -> None:
        """Sweep for ever; started once when the server starts."""
        try:
            while True:
                await asyncio.sleep(self._ctx.settings.sweep_interval_s)
                await self._look_safely()
        finally:
            for task in self._retiring.values():
                task.cancel()

    async def look(self) -> None:
        """Look once, and begin to retire what is wanted by nobody."""
        records = await asyncio.to_thread(standing.read_all, self._ctx.ledger.database)
        free = [record for record in records if record.holder is None]
        if not free:
            return
        for host in self._ctx.fleet.names:
            facts = await self._ctx.fleet.call(host, lambda driver: driver.facts())
            for record in free:
                state = host_state(record.scope, facts)
                await _mend(self._ctx, record, host, state)
                known = {one.revision for one in facts.instances if one.scope == record.scope}
                for revision in known - wanted_revisions(record):
                    self._begin(record, host, revision)

    def _begin(self, record: ScopeRecord, host: str, revision: str) -> None:
        key = (record.scope, host, revision)
        if key not in self._retiring:
            task = asyncio.create_task(self._retire_safely(record, host, revision))
            self._retiring[key] = task
            task.add_done_callback(lambda _task: self._retiring.pop(key, None))

    async def _retire_safely(self, record: ScopeRecord, host: str, revision: str) -> None:
        try:
            await _retire(self._ctx, record, host, revision)
        except TurnoutError as error:
            log.info("sweep.postponed", host=host, revision=revision, why=str(error))
        except Exception:
            log.exception("sweep.failed", host=host, revision=revision)

    async def _look_safely(self) -> None:
        try:
            await self.look()
        except TurnoutError as error:
            log.info("sweep.postponed", why=str(error))
        except Exception:
            log.exception("sweep.failed")


def wanted_revisions(record: ScopeRecord) -> set[str]:
    """Return the revisions of a scope whose instances shall run now."""
    warm = record.warm(clock.now())
    return {entry.revision.revision for entry in (record.live, warm) if entry is not None}


async def prune_store(ctx: Context, project: str) -> None:
    """Drop releases of a project that are kept in no environment and not under way."""
    keep = await asyncio.to_thread(needed_releases, ctx, project)
    report = await asyncio.to_thread(ctx.store.prune, project, keep)
    for release in report.releases:
        await asyncio.to_thread(ctx.catalogue.remove, project, release)


def needed_releases(ctx: Context, project: str) -> set[str]:
    """Return the releases of a project that must never be dropped from the store."""
    keep: set[str] = set()
    for record in standing.read_all(ctx.ledger.database, project):
        keep |= routing.kept(record)[0]
    query = deployments.select().where(
        (deployments.c.project == project)
        & deployments.c.status.not_in([status.value for status in ENDED])
    )
    with ctx.ledger.database.reading() as connection:
        keep |= {row["release"] for row in connection.execute(query).mappings()}
    return keep


async def _mend(ctx: Context, record: ScopeRecord, host: str, state: HostState) -> None:
    """Give the live release its traffic back where an undo could not."""
    live = record.live
    if live is None or not is_up(state, live.revision):
        return
    if dict(state.weights) == {live.revision.revision: 100}:
        return
    if live.intent.hosts and host not in live.intent.hosts:
        return
    async with ctx.tidying[record.scope]:
        if not await _free(ctx, record):
            return
        await routing.reroute(
            ctx,
            record.project,
            record.environment,
            host,
            weights={live.revision.revision: 100},
        )
    await asyncio.to_thread(_tell, ctx, record, "traffic.mended", host, live.revision.revision)


async def _retire(ctx: Context, record: ScopeRecord, host: str, revision: str) -> None:
    """Drain and stop one revision, unless a deployment takes the scope meanwhile."""
    rollout = record.live.intent.rollout if record.live else None
    async with ctx.tidying[record.scope]:
        if not await _unwanted(ctx, record, revision):
            return
        facts = await ctx.fleet.call(host, lambda driver: driver.facts())
        state = host_state(record.scope, facts)
        live = record.live.revision if record.live else None
        if state.weights.get(revision) and live and not is_up(state, live):
            # It answers live requests, and nothing else could.
            return
        await routing.reroute(ctx, record.project, record.environment, host, without={revision})
    drain = wire.DrainWanted(
        scope=record.scope, revision=revision, deadline=rollout.drain if rollout else 0.0
    )
    await ctx.fleet.call(host, lambda driver: driver.drain(drain), drain.deadline + 30.0, ROUTER)
    # The grace of its processes may take seconds: only who wants this very revision waits.
    async with ctx.tidying[f"{record.scope}/{revision}"]:
        if not await _unwanted(ctx, record, revision):
            return
        gone = wire.InstanceGone(scope=record.scope, revision=revision)
        await ctx.fleet.call(host, lambda driver: driver.remove_instances(gone), 120.0)
    await asyncio.to_thread(_tell, ctx, record, "revision.retired", host, revision)
    async with ctx.tidying[record.scope]:
        if await _free(ctx, record):
            await routing.prune_host(ctx, record.project, record.environment, host)


def _tell(ctx: Context, record: ScopeRecord, kind: str, host: str, revision: str) -> None:
    with ctx.ledger.database.transaction() as connection:
        ctx.ledger.events.append(
            connection,
            kind,
            project=record.project,
            environment=record.environment,
            host=host,
            revision=revision,
        )


async def _free(ctx: Context, record: ScopeRecord) -> bool:
    now = await routing.scope_record(ctx, record.project, record.environment)
    return now.holder is None and now.live == record.live


async def _unwanted(ctx: Context, record: ScopeRecord, revision: str) -> bool:
    now = await routing.scope_record(ctx, record.project, record.environment)
    return now.holder is None and revision not in wanted_revisions(now)
