"""A coordinator that decides nothing: it keeps deployments in memory and tells events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import Conflict, InvalidInput, NotFound
from turnout.base.ids import new_id
from turnout.monitoring.events import EventLog
from turnout.monitoring.fingerprints import ErrorGroup, grouped
from turnout.monitoring.logsearch import Found, Hit, Query
from turnout.wire.agent import RouterRestarted
from turnout.wire.api import (
    Cause,
    CheckDocument,
    DeploymentDetail,
    DeploymentDocument,
    DeployRequest,
    EnvironmentDocument,
    LogEntry,
    Page,
    PlanDocument,
    PlannedStep,
    RollbackRequest,
    TrafficDocument,
)
from turnout.wire.evidence import EvidenceDocument, ReplayDocument, VerdictDocument
from turnout.wire.rollout import AnalysisSpec
from turnout.wire.traffic import TrafficHistory

_ENDED = ("succeeded", "failed", "rolled_back", "aborted", "rejected")


class FakeCoordinator:
    """Keeps what it was told; tests end deployments themselves with :meth:`finish`."""

    def __init__(self, database: Database, events: EventLog) -> None:
        self.database = database
        self.events = events
        self.deployments: dict[str, DeploymentDetail] = {}
        self.calls: list[tuple[str, str]] = []
        self.lines: list[LogEntry] = []
        self.hits: list[Hit] = []
        """Lines of instances, oldest first, as a search finds them."""
        self.queries: list[Query] = []
        self.policies: list[AnalysisSpec] = []
        self.rollbacks: list[RollbackRequest] = []
        self.causes: list[Cause] = []
        self.gate: asyncio.Event | None = None
        """Set: `deploy` waits for it, to be caught in the middle."""
        self.mistake: Exception | None = None

    def tell(self, kind: str, deployment: str | None = None, **data: Any) -> None:
        """Write an event."""
        with self.database.transaction() as connection:
            self.events.append(connection, kind, deployment=deployment, **data)

    def finish(self, deployment: str, status: str = "succeeded") -> None:
        """End a deployment and tell it."""
        found = self.deployments[deployment]
        self.deployments[deployment] = found.model_copy(
            update={"status": status, "finished_at": clock.now(), "duration_s": 1.5}
        )
        self.tell("deployment.finished", deployment, status=status)

    async def plan(self, request: DeployRequest) -> PlanDocument:
        return _plan(
            request.intent.project, request.intent.environment, request.release, "deployment"
        )

    async def deploy(self, request: DeployRequest, by: str) -> DeploymentDocument:
        self.calls.append(("deploy", by))
        if self.mistake:
            raise self.mistake
        if self.gate:
            await self.gate.wait()
        return self._start(
            request.intent.project, request.intent.environment, request.release, "deployment"
        )

    async def plan_rollback(self, request: RollbackRequest) -> PlanDocument:
        return _plan(request.project, request.environment, self._before(request), "rollback")

    async def rollback(
        self, request: RollbackRequest, by: str, cause: Cause = "manual"
    ) -> DeploymentDocument:
        self.calls.append(("rollback", by))
        self.causes.append(cause)
        self.rollbacks.append(request)
        return self._start(request.project, request.environment, self._before(request), "rollback")

    async def act(self, deployment: str, verb: str, reason: str, by: str) -> DeploymentDocument:
        found = await self.show(deployment)
        self.calls.append((verb, by))
        if found.status in _ENDED and verb != "retry":
            raise Conflict(
                "The deployment has ended", subject=deployment, next_step="Start another."
            )
        return _plain(found)

    async def show(self, deployment: str) -> DeploymentDetail:
        if deployment not in self.deployments:
            raise NotFound("There is no such deployment", subject=deployment)
        return self.deployments[deployment]

    async def list(
        self,
        *,
        project: str | None,
        environment: str | None,
        status: str | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DeploymentDocument]:
        if cursor is not None and cursor not in self.deployments:
            raise InvalidInput("The cursor is not valid", subject=cursor)
        found = [
            _plain(item)
            for item in reversed(self.deployments.values())
            if project in (None, item.project)
            and environment in (None, item.environment)
            and status in (None, item.status)
        ]
        if cursor is not None:
            ids = [item.id for item in found]
            found = found[ids.index(cursor) + 1 :] if cursor in ids else []
        more = len(found) > limit
        return Page(items=tuple(found[:limit]), next_cursor=found[limit - 1].id if more else None)

    async def environments(self, project: str | None = None) -> list[EnvironmentDocument]:
        scopes = {(item.project, item.environment) for item in self.deployments.values()}
        return [
            await self.environment(name, environment)
            for name, environment in sorted(scopes)
            if project in (None, name)
        ]

    async def environment(self, project: str, environment: str) -> EnvironmentDocument:
        mine = [
            item
            for item in self.deployments.values()
            if (item.project, item.environment) == (project, environment)
        ]
        if not mine:
            raise NotFound("There is no such environment", subject=f"{project}/{environment}")
        done = [item for item in mine if item.status == "succeeded"]
        way = [item for item in mine if item.status not in _ENDED]
        return EnvironmentDocument(
            project=project,
            environment=environment,
            live_release=done[-1].release if done else None,
            live_since=done[-1].finished_at if done else None,
            previous_release=done[-2].release if len(done) > 1 else None,
            warm_until=clock.now() + timedelta(minutes=5) if len(done) > 1 else None,
            deployment=way[0].id if way else None,
            deployment_status=way[0].status if way else None,
            queued=max(0, len(way) - 1),
            url=f"http://{project}.localhost:8080/",
            health="healthy" if done else "unknown",
        )

    async def traffic(self, project: str, environment: str) -> TrafficDocument:
        await self.environment(project, environment)
        return TrafficDocument(project=project, environment=environment, rows=())

    async def traffic_history(
        self,
        project: str,
        environment: str,
        since: datetime,
        until: datetime | None = None,
        resolution: int | None = None,
    ) -> TrafficHistory:
        await self.environment(project, environment)
        return TrafficHistory(
            project=project, environment=environment, since=since, until=until or clock.now(),
            resolution_s=resolution or 1,
        )  # fmt: skip

    async def evidence(self, deployment: str, points: int) -> EvidenceDocument:
        found = await self.show(deployment)
        self.calls.append((f"evidence {points}", ""))
        return EvidenceDocument(
            deployment=deployment, project=found.project, environment=found.environment,
            strategy=found.strategy, release=found.release,
        )  # fmt: skip

    async def replay(self, deployment: str, policy: AnalysisSpec) -> ReplayDocument:
        await self.show(deployment)
        self.policies.append(policy)
        return ReplayDocument(deployment=deployment, verdict=VerdictDocument(verdict="unknown"))

    async def search_logs(self, query: Query) -> Found:
        self.queries.append(query)
        hits = [hit for hit in self.hits if query.until is None or hit.line.at < query.until]
        kept = hits[-query.limit :]
        return Found(tuple(kept), len(hits), len(kept) == len(hits))

    async def log_errors(self, query: Query) -> tuple[tuple[ErrorGroup, ...], Found]:
        self.queries.append(query)
        groups = grouped((hit.host, hit.line) for hit in self.hits)
        return groups[: query.limit], Found((), len(self.hits), True)

    async def metrics_text(self, accept: str) -> tuple[bytes, str]:
        return b"turnout_up 1\n", "text/plain; version=0.0.4"

    async def restart_router(self, host: str, by: str) -> RouterRestarted:
        if host != "local":
            raise NotFound("There is no such host", subject=host)
        self.calls.append(("restart_router", by))
        return RouterRestarted(epoch=2, took_ms=1250.0, version="1.40.0")

    async def access_log(self, project: str, environment: str, on: bool, by: str) -> None:
        await self.environment(project, environment)
        self.calls.append((f"access_log {on}", by))

    async def logs(self, deployment: str, *, tail: int) -> list[LogEntry]:
        return self.lines[-tail:]

    async def follow_logs(self, deployment: str) -> AsyncIterator[LogEntry]:
        for line in list(self.lines):
            yield line
        async for _ in self.events.follow(0, deployment=deployment):
            if self.deployments[deployment].status in _ENDED:
                break
        yield LogEntry(at=clock.now(), host="local", source="turnout", text="the last line")

    async def live_releases(self, project: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for item in await self.environments(project):
            if item.live_release:
                found[item.live_release] = (
                    *found.get(item.live_release, ()),
                    item.environment,
                )
        return found

    async def doctor(self) -> list[CheckDocument]:
        return [CheckDocument(name="disk", status="ok", detail="80 GB are free")]

    def _before(self, request: RollbackRequest) -> str:
        for item in reversed(self.deployments.values()):
            if (item.project, item.environment) == (request.project, request.environment):
                return item.release
        raise NotFound(
            "There is no such environment", subject=f"{request.project}/{request.environment}"
        )

    def _start(
        self, project: str, environment: str, release: str, kind: str, cause: Cause = ""
    ) -> DeploymentDocument:
        now = clock.now()
        made = DeploymentDetail(
            id=new_id("dep"),
            kind=kind,
            project=project,
            environment=environment,
            strategy="blue-green",
            release=release,
            status="running",
            phase="staging",
            cause=cause,
            created_at=now,
            started_at=now,
            finished_at=None,
            duration_s=None,
            url=f"http://{project}.localhost:8080/",
            release_url=f"http://r-{release[:12]}.{project}.localhost:8080/",
            events_url="",
        )
        self.deployments[made.id] = made
        self.tell("deployment.started", made.id)
        return _plain(made)


def _plain(detail: DeploymentDetail) -> DeploymentDocument:
    return DeploymentDocument.model_validate(detail.model_dump(exclude={"phases", "steps"}))


def _plan(project: str, environment: str, release: str, kind: str) -> PlanDocument:
    return PlanDocument(
        project=project,
        environment=environment,
        kind=kind,
        strategy="blue-green",
        release=release,
        live_release=None,
        digest="0" * 64,
        steps=(PlannedStep(index=0, phase="staging", action="stage", title="Stage"),),
    )
