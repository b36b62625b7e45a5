"""Rollbacks: back to the release before, or to one that was kept."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from turnout.api import params
from turnout.api.access import By
from turnout.api.bodies import takes_json
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.api.recovery import location_of
from turnout.wire.api import DeploymentDocument, PlanDocument, RollbackRequest

_PEOPLE_USE = "turnout-cli"
"""How our command line calls itself; what others ask for is recorded as coming from a program."""

router = APIRouter(prefix="/rollbacks", tags=["deployments"])


@router.post(
    "/plan",
    operation_id="plan_rollback",
    summary="What would a rollback do?",
    dependencies=[params.idempotent, takes_json],
    responses=problems_of(404, 408, 409, 413, 415, 503, 507),
)
async def plan_rollback(request: RollbackRequest, rooms: Rooms) -> PlanDocument:
    """Return the exact steps that this rollback would run now, and run none."""
    return await rooms.coordinator.plan_rollback(request)


@router.post(
    "",
    operation_id="start_rollback",
    summary="Start a rollback",
    status_code=201,
    dependencies=[params.idempotent, takes_json],
    responses=problems_of(403, 404, 408, 409, 413, 415, 503, 507),
)
async def start_rollback(
    request: RollbackRequest, rooms: Rooms, by: By, http: Request, response: Response
) -> DeploymentDocument:
    """Go back to an earlier release; a deployment under way there is aborted first."""
    person = http.headers.get("user-agent", "").startswith(_PEOPLE_USE)
    started = await rooms.coordinator.rollback(request, by.name, "manual" if person else "api")
    response.headers["Location"] = location_of(started)
    return started
