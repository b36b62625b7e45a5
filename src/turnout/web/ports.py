"""What the dashboard needs of the coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from turnout.wire.api import (
    DeploymentDetail,
    DeploymentDocument,
    EnvironmentDocument,
    LogEntry,
    Page,
    RollbackRequest,
)
from turnout.wire.evidence import EvidenceDocument

Verb = Literal["pause", "resume", "promote", "approve", "reject", "abort", "retry"]


class Coordinator(Protocol):
    """The coordinator's service, as the dashboard calls it."""

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

    async def show(self, deployment: str) -> DeploymentDetail: ...

    async def logs(self, deployment: str, *, tail: int) -> Sequence[LogEntry]: ...

    async def act(
        self, deployment: str, verb: Verb, reason: str, by: str
    ) -> DeploymentDocument: ...

    async def rollback(self, request: RollbackRequest, by: str) -> DeploymentDocument: ...


@runtime_checkable
class Evidenced(Protocol):
    """A coordinator that also keeps evidence; without it the pages show none."""

    async def evidence(self, deployment: str, points: int) -> EvidenceDocument:
        """Return the evidence of a deployment, thinned to about *points* points."""
        ...


@runtime_checkable
class Pulsed(Protocol):
    """A coordinator that also knows the traffic of the last minutes, without asking a host."""

    async def pulse(self, project: str, environment: str) -> Sequence[float]:
        """Return requests a second, oldest first, at most a hundred values."""
        ...
