"""What the API needs of the rooms below it, as small protocols.

The coordinator and the package store satisfy them; tests bring their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from turnout.monitoring.fingerprints import ErrorGroup
from turnout.monitoring.logsearch import Found, Query
from turnout.packages.manifest import Manifest
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
    RollbackRequest,
    TrafficDocument,
)
from turnout.wire.evidence import EvidenceDocument, ReplayDocument
from turnout.wire.rollout import AnalysisSpec
from turnout.wire.traffic import TrafficHistory

Verb = Literal["pause", "resume", "abort", "retry", "approve", "reject", "promote"]


class Coordinator(Protocol):
    """The coordinator's service, as the API calls it."""

    async def plan(self, request: DeployRequest) -> PlanDocument: ...

    async def deploy(self, request: DeployRequest, by: str) -> DeploymentDocument: ...

    async def plan_rollback(self, request: RollbackRequest) -> PlanDocument: ...

    async def rollback(
        self, request: RollbackRequest, by: str, cause: Cause = "manual"
    ) -> DeploymentDocument: ...

    async def act(
        self, deployment: str, verb: Verb, reason: str, by: str
    ) -> DeploymentDocument: ...

    async def show(self, deployment: str) -> DeploymentDetail: ...

    async def list(
        self,
        *,
        project: str | None,
        environment: str | None,
        status: str | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DeploymentDocument]: ...

    async def environments(self, project: str | None = None) -> Sequence[EnvironmentDocument]: ...

    async def environment(self, project: str, environment: str) -> EnvironmentDocument: ...

    async def traffic(self, project: str, environment: str) -> TrafficDocument: ...

    async def logs(self, deployment: str, *, tail: int) -> Sequence[LogEntry]: ...

    def follow_logs(self, deployment: str) -> AsyncIterator[LogEntry]: ...

    async def traffic_history(
        self,
        project: str,
        environment: str,
        since: datetime,
        until: datetime | None = None,
        resolution: int | None = None,
    ) -> TrafficHistory: ...

    async def evidence(self, deployment: str, points: int) -> EvidenceDocument: ...

    async def replay(self, deployment: str, policy: AnalysisSpec) -> ReplayDocument: ...

    async def search_logs(self, query: Query) -> Found: ...

    async def log_errors(self, query: Query) -> tuple[tuple[ErrorGroup, ...], Found]: ...

    async def metrics_text(self, accept: str) -> tuple[bytes, str]: ...

    async def restart_router(self, host: str, by: str) -> RouterRestarted: ...

    async def access_log(self, project: str, environment: str, on: bool, by: str) -> None: ...

    async def live_releases(self, project: str) -> dict[str, tuple[str, ...]]: ...

    async def doctor(self) -> Sequence[CheckDocument]: ...


class Store(Protocol):
    """The package store; its calls block, so the API makes them in threads."""

    def has(self, project: str, release: str) -> bool: ...

    def lacks(self, project: str, manifest: Manifest) -> int: ...

    def missing(self, project: str, manifest: Manifest) -> Iterable[str]: ...

    def held_parts(
        self, project: str, manifest: Manifest
    ) -> Mapping[str, Sequence[tuple[int, int]]]: ...

    def add_segment(self, project: str, data: bytes) -> int: ...

    def commit(self, project: str, manifest: Manifest) -> object: ...
