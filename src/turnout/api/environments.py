"""Environments: what is live where, and how the traffic is split."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.api import params
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.wire.api import EnvironmentDocument, Page, TrafficDocument

router = APIRouter(prefix="/environments", tags=["environments"])


@router.get(
    "", operation_id="list_environments", summary="What is live where", responses=problems_of()
)
async def list_environments(
    rooms: Rooms, project: params.OfProject = None
) -> Page[EnvironmentDocument]:
    """Return every environment of every project, or of one, on a single page."""
    return Page(items=tuple(await rooms.coordinator.environments(project)))


@router.get(
    "/{project}/{environment}",
    operation_id="get_environment",
    summary="One environment",
    responses=problems_of(404),
)
async def get_environment(
    project: params.Project, environment: params.Environment, rooms: Rooms
) -> EnvironmentDocument:
    """Return what is live in an environment, and the deployment under way, if any."""
    return await rooms.coordinator.environment(project, environment)


@router.get(
    "/{project}/{environment}/traffic",
    operation_id="get_traffic",
    summary="The live split",
    responses=problems_of(404, 503),
)
async def get_traffic(
    project: params.Project, environment: params.Environment, rooms: Rooms
) -> TrafficDocument:
    """Return asked weights, measured shares, errors and latencies per release and host."""
    return await rooms.coordinator.traffic(project, environment)
