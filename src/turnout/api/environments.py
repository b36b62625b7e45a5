"""Environments: what is live where, and how the traffic is split."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from turnout.api import params
from turnout.api.access import By
from turnout.api.bodies import takes_json
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.base import clock
from turnout.wire.api import EnvironmentDocument, Page, TrafficDocument
from turnout.wire.model import Message
from turnout.wire.traffic import TrafficHistory

router = APIRouter(prefix="/environments", tags=["environments"])

_HISTORY_S = 600

Resolution = Annotated[
    int | None,
    Query(alias="resolution", ge=1, le=86400, description="Least seconds of one point."),
]


class AccessLog(Message):
    """Whether the routers write a line for each request of an environment."""

    on: bool


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


@router.get(
    "/{project}/{environment}/traffic/history",
    operation_id="get_traffic_history",
    summary="The traffic of the last hours",
    responses=problems_of(404),
)
async def get_traffic_history(
    project: params.Project,
    environment: params.Environment,
    rooms: Rooms,
    since: params.Since = None,
    until: params.Until = None,
    resolution: Resolution = None,
) -> TrafficHistory:
    """Return what each release answered over a time, and what its instances used.

    The last ten minutes unless `since` says more; the resolution falls with the age.
    """
    begin = since or clock.now() - timedelta(seconds=_HISTORY_S)
    return await rooms.coordinator.traffic_history(project, environment, begin, until, resolution)


@router.put(
    "/{project}/{environment}/access-log",
    operation_id="set_access_log",
    summary="Switch the access log on or off",
    dependencies=[takes_json],
    responses=problems_of(403, 404, 408, 413, 415, 503),
)
async def set_access_log(
    project: params.Project,
    environment: params.Environment,
    wanted: AccessLog,
    rooms: Rooms,
    by: By,
) -> AccessLog:
    """Make the routers of all hosts write a line for each request, or stop it."""
    await rooms.coordinator.access_log(project, environment, wanted.on, by.name)
    return wanted
