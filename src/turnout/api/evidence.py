"""Evidence: why a deployment decided as it did, and what another policy would have said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from turnout.api import params
from turnout.api.bodies import takes_json
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.wire.evidence import EvidenceDocument, ReplayDocument
from turnout.wire.rollout import AnalysisSpec

router = APIRouter(prefix="/deployments/{deployment}", tags=["deployments"])

Points = Annotated[
    int,
    Query(
        alias="points",
        ge=1,
        le=2000,
        description="At most so many points; seconds are put together to make them fit.",
    ),
]


@router.get(
    "/evidence",
    operation_id="get_evidence",
    summary="Why a deployment decided",
    responses=problems_of(404),
)
async def get_evidence(
    deployment: params.Deployment, rooms: Rooms, points: Points = 300
) -> EvidenceDocument:
    """Return what was counted, what was decided from it, and the verdict with its reasons."""
    return await rooms.coordinator.evidence(deployment, points)


@router.post(
    "/replay",
    operation_id="replay_deployment",
    summary="What would another policy have said?",
    dependencies=[params.idempotent, takes_json],
    responses=problems_of(404, 408, 409, 413, 415, 503, 507),
)
async def replay_deployment(
    deployment: params.Deployment, policy: AnalysisSpec, rooms: Rooms
) -> ReplayDocument:
    """Judge the recorded evidence again by the policy of the body, and change nothing.

    What a policy does not name keeps its default, not what the deployment had.
    """
    return await rooms.coordinator.replay(deployment, policy)
