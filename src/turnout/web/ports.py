"""What the dashboard needs of the coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from turnout.wire.api import DeploymentDocument, EnvironmentDocument, Page


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
