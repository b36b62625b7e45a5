"""What the coordinator tells: deployments, environments, traffic and logs, as documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.errors import InvalidInput, TurnoutError
from turnout.coordinator import documents, seeing, standing
from turnout.coordinator.context import Context
from turnout.coordinator.fleet import ROUTER
from turnout.coordinator.planning import existing_scope
from turnout.coordinator.standing import ScopeRecord
from turnout.coordinator.tables import deployments, holds, phases
from turnout.domain.transitions import ENDED, Status
from turnout.targets.port import Host
from turnout.wire import agent as wire
from turnout.wire.api import (
    DeploymentDetail,
    DeploymentDocument,
    EnvironmentDocument,
    LogEntry,
    Page,
    TrafficDocument,
    TrafficRow,
)
from turnout.wire.project import Component, Intent, StaticSpec

MOST = 200
"""No page is longer."""


class Reader:
    """Answers questions; changes nothing."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def show(self, deployment: str) -> DeploymentDetail:
        """Return a deployment with its phases and steps.

        Raises:
            NotFound: There is none of that name.
        """

        def read() -> DeploymentDetail:
            ledger = self._ctx.ledger
            # One look at all of it: what a step waits for and how it stands belong together.
            with ledger.database.reading() as connection:
                row = ledger.row_in(connection, deployment)
                steps = ledger.step_rows_in(connection, deployment)
                found, kept = (
                    [
                        dict(one)
                        for one in connection.execute(
                            table.select()
                            .where(table.c.deployment == deployment)
                            .order_by(table.c.position)
                        ).mappings()
                    ]
                    for table in (phases, holds)
                )
            return documents.deployment_detail(self._ctx.settings, row, found, steps, kept)

        return await asyncio.to_thread(read)

    async def list(
        self,
        *,
        project: str | None = None,
        environment: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[DeploymentDocument]:
        """Return deployments, newest first.

        Raises:
            InvalidInput: The cursor, the status or the limit is none.
        """
        if status is not None and status not in [known.value for known in Status]:
            raise InvalidInput(
                "There is no such status",
                subject=status[:40],
                next_step=f"Use one of {', '.join(known.value for known in Status)}.",
            )
        if not 1 <= limit <= MOST:
            raise InvalidInput(f"A page has 1 to {MOST} entries", subject=str(limit))
        query = deployments.select().order_by(
            deployments.c.created_at.desc(), deployments.c.id.desc()
        )
        for column, value in (
            (deployments.c.project, project),
            (deployments.c.environment, environment),
            (deployments.c.status, status),
        ):
            if value is not None:
                query = query.where(column == value)
        if cursor is not None:
            moment, name = documents.decode_cursor(cursor)
            query = query.where(
                sa.tuple_(deployments.c.created_at, deployments.c.id)
                < sa.tuple_(sa.literal(moment, deployments.c.created_at.type), sa.literal(name))
            )

        def read() -> Page[DeploymentDocument]:
            with self._ctx.ledger.database.reading() as connection:
                rows = connection.execute(query.limit(limit + 1)).mappings().all()
            items = [
                documents.deployment_document(self._ctx.settings, dict(row)) for row in rows[:limit]
            ]
            more = len(rows) > limit
            last = rows[limit - 1] if more else None
            return Page[DeploymentDocument](
                items=tuple(items),
                next_cursor=documents.encode_cursor(last["created_at"], last["id"])
                if last
                else None,
            )

        return await asyncio.to_thread(read)

    async def environments(self, project: str | None = None) -> Sequence[EnvironmentDocument]:
        """Return what is live in every environment."""
        records = await asyncio.to_thread(standing.read_all, self._ctx.ledger.database, project)
        facts = await self._all_facts()
        return [await asyncio.to_thread(self._environment, one, facts) for one in records]

    async def environment(self, project: str, environment: str) -> EnvironmentDocument:
        """Return what is live in one environment.

        Raises:
            NotFound: Nothing was ever deployed there.
        """
        record = await existing_scope(self._ctx, project, environment)
        return await asyncio.to_thread(self._environment, record, await self._all_facts())

    async def traffic(self, project: str, environment: str) -> TrafficDocument:
        """Return the live split of an environment.

        Raises:
            NotFound: Nothing was ever deployed there.
            Unreachable: A host does not answer.
        """
        record = await existing_scope(self._ctx, project, environment)
        rows: list[TrafficRow] = []
        for host in self._ctx.fleet.names:
            report = await self._ctx.fleet.call(
                host, lambda driver: driver.traffic(record.scope), service=ROUTER
            )
            total = sum(one.requests for one in report.revisions)
            rows += [seeing.traffic_row(host, one, total) for one in report.revisions]
        return TrafficDocument(project=project, environment=environment, rows=tuple(rows))

    async def live_releases(self, project: str) -> dict[str, tuple[str, ...]]:
        """Return each live release of a project with the environments that serve it."""
        records = await asyncio.to_thread(standing.read_all, self._ctx.ledger.database, project)
        found: dict[str, tuple[str, ...]] = {}
        for record in records:
            if record.live:
                release = record.live.revision.release
                found[release] = (*found.get(release, ()), record.environment)
        return found

    async def logs(self, deployment: str, *, tail: int = 200) -> Sequence[LogEntry]:
        """Return the last log lines of a deployment's instances, oldest first."""
        row = await asyncio.to_thread(self._ctx.ledger.row, deployment)
        entries: list[LogEntry] = []
        for host in self._ctx.fleet.names:
            wanted = wire.LogsWanted(
                scope=f"{row['project']}/{row['environment']}",
                revision=row["revision"],
                tail=tail,
            )
            page = await self._ctx.fleet.call(host, partial(_logs, wanted))
            entries += [seeing.log_entry(host, line) for line in page.lines]
        entries.sort(key=lambda entry: entry.at)
        return entries[-tail:] if tail else []

    async def follow_logs(self, deployment: str) -> AsyncIterator[LogEntry]:
        """Yield log lines of a deployment as they come, until it has ended."""
        row = await asyncio.to_thread(self._ctx.ledger.row, deployment)
        cursors = dict.fromkeys(self._ctx.fleet.names, "")
        ended = False
        while True:
            for host, cursor in list(cursors.items()):
                wanted = wire.LogsWanted(
                    scope=f"{row['project']}/{row['environment']}",
                    revision=row["revision"],
                    cursor=cursor,
                    wait=0.0 if ended else 1.0 / len(cursors),
                )
                page = await self._ctx.fleet.call(host, partial(_logs, wanted))
                cursors[host] = page.cursor
                for line in page.lines:
                    yield seeing.log_entry(host, line)
            if ended:
                return
            now = await asyncio.to_thread(self._ctx.ledger.row, deployment)
            ended = Status(now["status"]) in ENDED

    async def _all_facts(self) -> dict[str, wire.HostFacts | None]:
        found: dict[str, wire.HostFacts | None] = {}
        for host in self._ctx.fleet.names:
            try:
                found[host] = await self._ctx.fleet.call(host, lambda driver: driver.facts(), 10.0)
            except TurnoutError:
                found[host] = None
        return found

    def _environment(
        self, record: ScopeRecord, facts: dict[str, wire.HostFacts | None]
    ) -> EnvironmentDocument:
        here = (deployments.c.project == record.project) & (
            deployments.c.environment == record.environment
        )
        waiting = sa.select(sa.func.count()).select_from(deployments)
        with self._ctx.ledger.database.reading() as connection:
            queued = connection.execute(
                waiting.where(here & (deployments.c.status == Status.QUEUED.value))
            ).scalar_one()
            status = connection.execute(
                sa.select(deployments.c.status).where(deployments.c.id == record.holder)
            ).scalar()
        warm = record.warm(clock.now())
        intent = record.live.intent if record.live else _bare(record)
        return EnvironmentDocument(
            project=record.project,
            environment=record.environment,
            live_release=record.live.revision.release if record.live else None,
            live_since=record.live_since,
            previous_release=record.previous.revision.release if record.previous else None,
            warm_until=record.warm_until if warm else None,
            deployment=record.holder,
            deployment_status=status,
            queued=queued,
            url=documents.environment_url(
                self._ctx.settings, record.project, record.environment, intent
            ),
            health=seeing.health(record, facts),
        )


async def _logs(wanted: wire.LogsWanted, driver: Host) -> wire.LogPage:
    return await driver.logs(wanted)


def _bare(record: ScopeRecord) -> Intent:
    return Intent(
        project=record.project,
        environment=record.environment,
        component=Component(static=StaticSpec()),
    )
