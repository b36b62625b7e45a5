"""Recovery: what became of a keyed request that a crash of the server cut off.

The coordinator commits a deployment in one transaction, so it is there or it is not.  It is found
again by everything the request said: a deployment of this release, made after the request came.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from turnout.api.keybook import Answer
from turnout.api.ports import Coordinator
from turnout.base import clock
from turnout.wire.api import DeploymentDocument, DeployRequest, RollbackRequest

_LOOKED_AT = 100


class Recovery:
    """Finds the deployment that an orphaned request made.

    Args:
        coordinator: Whom to ask.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._started_at = clock.now()

    async def __call__(self, path: str, body: bytes, since: datetime) -> Answer | None:
        """Return the answer that the request at *path* would have had, or None.

        Args:
            path: Where it was sent.
            body: What was sent.
            since: When it arrived.
        """
        try:
            if path == "/api/v1/deployments":
                asked = DeployRequest.model_validate_json(body)
                intent = asked.intent
                made = await self._find(
                    "deployment", intent.project, intent.environment, asked.release, since
                )
            elif path == "/api/v1/rollbacks":
                back = RollbackRequest.model_validate_json(body)
                made = await self._find(
                    "rollback", back.project, back.environment, back.to or "", since
                )
            else:
                return None
        except ValidationError:
            return None
        if made is None:
            return None
        return Answer(
            status=201,
            headers={"content-type": "application/json", "location": location_of(made)},
            body=made.model_dump_json().encode(),
        )

    async def _find(
        self,
        kind: Literal["deployment", "rollback"],
        project: str,
        environment: str,
        release: str,
        since: datetime,
    ) -> DeploymentDocument | None:
        page = await self._coordinator.list(
            project=project, environment=environment, status=None, cursor=None, limit=_LOOKED_AT
        )
        candidates = [
            item
            for item in page.items
            if item.kind == kind
            and item.release.startswith(release)
            # What this run of the server made belongs to another request.
            and since <= item.created_at <= self._started_at
        ]
        return candidates[-1] if candidates else None


def location_of(deployment: DeploymentDocument) -> str:
    """Return the address of a deployment."""
    return f"/api/v1/deployments/{deployment.id}"
