"""The door of the coordinator: what the API and the dashboard call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.errors import Conflict, NotFound
from turnout.base.ids import new_id
from turnout.coordinator import acting, choosing, documents, housekeeping, planning, standing
from turnout.coordinator.acting import Verb
from turnout.coordinator.admission import PRIORITIES, Admission
from turnout.coordinator.collecting import Collector
from turnout.coordinator.context import Context
from turnout.coordinator.costing import Costing
from turnout.coordinator.deploy import carry
from turnout.coordinator.engine import Engine
from turnout.coordinator.exporting import Exporter
from turnout.coordinator.fleet import ROUTER, WATCH
from turnout.coordinator.health import doctor
from turnout.coordinator.insight import Insight
from turnout.coordinator.run import CONTROL
from turnout.coordinator.standing import ScopeRecord
from turnout.coordinator.stepbook import Row
from turnout.coordinator.sweeping import Sweeper
from turnout.coordinator.tables import deployments
from turnout.coordinator.watching import Watcher
from turnout.domain.phases import Kind
from turnout.domain.transitions import ENDED, Status
from turnout.wire.agent import AccessLogWanted, RouterRestarted
from turnout.wire.api import (
    Cause,
    CheckDocument,
    DeploymentDocument,
    DeployRequest,
    PlanDocument,
    RollbackRequest,
)
from turnout.wire.project import Intent

RESTART_S = 120.0
"""Seconds that the fresh process of a router has to take over, on a machine with much to do."""


class Coordinator(Insight):
    """Starts deployments and rollbacks, and acts on those under way.

    Args:
        ctx: The coordinator's parts.
        engine: The durable engine, not yet launched.
    """

    def __init__(self, ctx: Context, engine: Engine) -> None:
        super().__init__(ctx)
        self._engine = engine
        self._tasks: list[asyncio.Task[None]] = []
        self._collector = Collector(
            lambda: ctx.fleet.names,
            lambda host: ctx.fleet.call(host, lambda driver: driver.statistics(), service=WATCH),
            ctx.series,
        )

        async def body(deployment: str) -> None:
            await carry(ctx, deployment)

        engine.register(body)

    async def launch(self) -> None:
        """Take up what was under way and begin to admit deployments."""
        await self._engine.launch()
        admission = Admission(self._ctx, self._engine)
        self._tasks = [
            asyncio.create_task(admission.work(), name="admission"),
            asyncio.create_task(Sweeper(self._ctx).work(), name="sweeper"),
            asyncio.create_task(
                housekeeping.work(self._engine, self._ctx.ledger.events), name="housekeeping"
            ),
        ]
        if self._ctx.settings.traces is not None:
            exporter = Exporter(self._ctx.ledger.events, self.show, self._ctx.settings.traces)
            self._tasks.append(asyncio.create_task(exporter.work(), name="exporter"))
        if self._ctx.settings.collects:
            watcher = Watcher(self._ctx, self._go_back)
            self._tasks += [
                asyncio.create_task(self._collector.work(), name="collector"),
                asyncio.create_task(watcher.work(), name="watcher"),
                asyncio.create_task(Costing(self._ctx).work(), name="costing"),
            ]

    async def close(self) -> None:
        """Stop working; what is under way is taken up by the next launch."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._engine.close()

    async def plan(self, request: DeployRequest) -> PlanDocument:
        """Return the steps that a deployment would run now, and run none."""
        plan = await planning.plan_deployment(self._ctx, request.release, request.intent)
        return documents.plan_document(plan)

    async def deploy(self, request: DeployRequest, by: str) -> DeploymentDocument:
        """Start a deployment, or put it into the queue of its environment.

        Raises:
            InvalidInput: The release is not there, or the request cannot be planned.
            Conflict: Another deployment holds the environment and ``queue`` is False.
        """
        # A request that can never be planned is refused now, not after its turn came.
        await planning.plan_deployment(self._ctx, request.release, request.intent)
        return await self._insert(
            Kind.DEPLOYMENT,
            request.release,
            request.intent,
            by,
            priority=PRIORITIES[request.priority],
            message=request.message,
            queue=request.queue,
            uploaded_bytes=request.uploaded_bytes,
            reused_bytes=request.reused_bytes,
        )

    async def plan_rollback(self, request: RollbackRequest) -> PlanDocument:
        """Return the steps that a rollback would run now, and run none."""
        record = await planning.existing_scope(self._ctx, request.project, request.environment)
        plan = await choosing.plan(self._ctx, record, request)
        return documents.plan_document(plan)

    async def rollback(
        self, request: RollbackRequest, by: str, cause: Cause = "manual"
    ) -> DeploymentDocument:
        """Start a rollback; a deployment under way in the environment is aborted first.

        A drill aborts nothing: it waits for its turn.

        Args:
            cause: What makes it go back.

        Raises:
            Impossible: There is nothing to go back to, or no way.
            InvalidInput: What it shall go back to is not there.
            NotFound: Nothing was ever deployed there.
            Refused: It would go past the point of no return.
        """
        record = await planning.existing_scope(self._ctx, request.project, request.environment)
        target = await asyncio.to_thread(choosing.choose, self._ctx, record, request)
        await choosing.demand_feasible(self._ctx, record, target, forced=request.force)
        document = await self._insert(
            Kind.ROLLBACK,
            target.version.release,
            target.version.intent,
            by,
            priority=PRIORITIES["normal" if request.drill else "urgent"],
            message=request.reason,
            back={
                "drill": request.drill,
                "only": target.only or "",
                "cause": cause,
                "forced": request.force,
                "back_to": target.back_to,
            },
        )
        # Only now: were the scope free before the rollback waits for it, another could take it.
        if record.holder is not None and not request.drill:
            await self._make_way(record.holder)
        return document

    async def act(self, deployment: str, verb: Verb, reason: str, by: str) -> DeploymentDocument:
        """Pause, resume, approve, reject, promote, abort or retry a deployment.

        Raises:
            NotFound: There is none of that name.
            Conflict: It stands where that cannot be done.
        """
        row = await asyncio.to_thread(self._ctx.ledger.row, deployment)
        if verb == "retry" and Status(row["status"]) in ENDED:
            return await self._again(row, by)
        why = reason or f"asked by {by}"
        act = partial(acting.act, self._ctx.ledger, deployment, verb, why, by)
        await self._wake(deployment, verb, await asyncio.to_thread(act))
        return await self._document(deployment)

    async def restart_router(self, host: str, by: str) -> RouterRestarted:
        """Replace the router of a host by a fresh one without dropping a request.

        Raises:
            NotFound: No host has that name.
            Unreachable: It does not answer.
            Failed: The fresh one did not take over; the old one goes on.
        """
        found = await self._ctx.fleet.call(
            host, lambda driver: driver.restart_router(), RESTART_S, ROUTER
        )
        facts = {"host": host, "epoch": found.epoch, "version": found.version, "by": by}
        await asyncio.to_thread(self._tell, "router.restarted", **facts)
        return found

    async def access_log(self, project: str, environment: str, on: bool, by: str) -> None:
        """Switch the access log of an environment on or off, on all its hosts.

        Raises:
            NotFound: Nothing was ever deployed there.
            Unreachable: A host does not answer; those before it have done it.
        """
        record = await planning.existing_scope(self._ctx, project, environment)
        wanted = AccessLogWanted(scope=record.scope, on=on)
        for host in self._ctx.fleet.names:
            await self._ctx.fleet.call(
                host, lambda driver: driver.access_log(wanted), service=ROUTER
            )
        where = {"project": record.project, "environment": record.environment}
        await asyncio.to_thread(self._tell, "access_log.switched", **where, on=on, by=by)

    async def doctor(self) -> list[CheckDocument]:
        """Return what is well and what is not: hosts, routers, disk, database, queue."""
        return await doctor(self._ctx)

    def _tell(self, kind: str, **facts: Any) -> None:
        ledger = self._ctx.ledger
        with ledger.database.transaction() as connection:
            ledger.events.append(connection, kind, **facts)

    async def _go_back(self, record: ScopeRecord, reason: str, cause: Cause) -> None:
        """Roll a scope back, for its new release has turned bad."""
        wanted = RollbackRequest(
            project=record.project, environment=record.environment, reason=reason[:2000]
        )
        await self.rollback(wanted, "turnout", cause)

    async def _make_way(self, holder: str) -> None:
        """Let the deployment that holds a scope end for a rollback that waits."""
        ledger, why = self._ctx.ledger, "a rollback was asked for"
        effect = await asyncio.to_thread(acting.make_way, ledger, holder, why)
        await self._wake(holder, "abort", effect)

    async def _wake(self, deployment: str, verb: str, effect: acting.Effect) -> None:
        if effect.queue_changed:
            self._ctx.ledger.ring_queue()
        if effect.cut_off:
            self._ctx.alarm(deployment).set()
        if effect.wake:
            self._ctx.bell(deployment).set()
            await self._engine.send(deployment, CONTROL, {"verb": verb})

    async def _again(self, row: Row, by: str) -> DeploymentDocument:
        """Start an ended deployment once more."""
        intent = Intent.model_validate(row["intent"])
        if row["kind"] == Kind.DEPLOYMENT:
            await planning.plan_deployment(self._ctx, row["release"], intent)
        else:
            scope = row["project"], row["environment"]
            record = await planning.existing_scope(self._ctx, *scope)
            target = choosing.of_row(row)
            await choosing.demand_feasible(self._ctx, record, target, forced=row["forced"])
        back = {name: row[name] for name in ("drill", "only", "forced", "back_to")}
        return await self._insert(
            Kind(row["kind"]),
            row["release"],
            intent,
            by,
            priority=row["priority"],
            message=row["message"],
            back=back | {"cause": "manual"} if row["kind"] == Kind.ROLLBACK else None,
        )

    async def _insert(
        self,
        kind: Kind,
        release: str,
        intent: Intent,
        by: str,
        *,
        priority: int,
        message: str,
        queue: bool = True,
        uploaded_bytes: int = 0,
        reused_bytes: int = 0,
        back: Mapping[str, Any] | None = None,
    ) -> DeploymentDocument:
        name = new_id("rol" if kind is Kind.ROLLBACK else "dep")

        def write() -> None:
            ledger = self._ctx.ledger
            with ledger.database.transaction() as connection:
                if not self._ctx.settings.single_machine and not ledger.scope(
                    connection, intent.project, intent.environment
                ):
                    raise NotFound("There is no such environment", subject=intent.environment)
                standing.ensure_scope(connection, intent.project, intent.environment)
                if not queue:
                    self._demand_free(connection, intent)
                connection.execute(
                    deployments.insert().values(
                        id=name,
                        kind=kind.value,
                        project=intent.project,
                        environment=intent.environment,
                        release=release,
                        revision=intent.component.revision(release),
                        strategy=intent.rollout.strategy,
                        status=Status.QUEUED.value,
                        priority=priority,
                        message=message,
                        requested_by=by,
                        intent=intent.model_dump(mode="json"),
                        uploaded_bytes=uploaded_bytes,
                        reused_bytes=reused_bytes,
                        created_at=clock.now(),
                        **(back or {}),
                    )
                )
                row = ledger.row_in(connection, name)
                why = {"cause": row["cause"], "drill": row["drill"]} if back else {}
                ledger.tell(connection, row, "deployment.queued", by=by, release=release, **why)

        await asyncio.to_thread(write)
        self._ctx.ledger.ring_queue()
        return await self._document(name)

    def _demand_free(self, connection: sa.Connection, intent: Intent) -> None:
        here = (deployments.c.project == intent.project) & (
            deployments.c.environment == intent.environment
        )
        open_one = connection.execute(
            deployments.select().where(
                here & deployments.c.status.not_in([status.value for status in ENDED])
            )
        ).first()
        if open_one is not None:
            raise Conflict(
                "Another deployment holds the environment",
                subject=f"{intent.project}/{intent.environment}",
                why=f"{open_one.id} is {open_one.status}",
                next_step="Wait for it, or deploy without --no-queue to wait in line.",
                facts={"deployment": open_one.id},
            )

    async def _document(self, deployment: str) -> DeploymentDocument:
        row = await asyncio.to_thread(self._ctx.ledger.row, deployment)
        return documents.deployment_document(self._ctx.settings, row)
