"""Deployments: plan one, start one, look at them, act on one."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from turnout.api import params
from turnout.api.access import By
from turnout.api.bodies import takes_json
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.api.ports import Verb
from turnout.api.recovery import location_of
from turnout.wire.api import (
    ActRequest,
    DeploymentDetail,
    DeploymentDocument,
    DeployRequest,
    Page,
    PlanDocument,
)

router = APIRouter(tags=["deployments"])


@router.post(
    "/plans",
    operation_id="plan_deployment",
    summary="What would a deployment do?",
    dependencies=[params.idempotent, takes_json],
    responses=problems_of(404, 408, 409, 413, 415, 503, 507),
)
async def plan_deployment(request: DeployRequest, rooms: Rooms) -> PlanDocument:
    """Return the exact steps that this request would run now, and run none."""
    await _require_release(rooms, request)
    return await rooms.coordinator.plan(request)


@router.post(
    "/deployments",
    operation_id="start_deployment",
    summary="Start a deployment",
    status_code=201,
    dependencies=[params.idempotent, takes_json],
    responses=problems_of(403, 404, 408, 409, 413, 415, 503, 507),
)
async def start_deployment(
    request: DeployRequest, rooms: Rooms, by: By, response: Response
) -> DeploymentDocument:
    """Start moving an environment to a release that the server holds; answer at once.

    The deployment waits its turn if another holds the environment; with `queue` false it is
    refused with 409 instead.
    """
    await _require_release(rooms, request)
    started = await rooms.coordinator.deploy(request, by.name)
    response.headers["Location"] = location_of(started)
    return started


@router.get(
    "/deployments",
    operation_id="list_deployments",
    summary="List deployments and rollbacks",
    responses=problems_of(),
)
async def list_deployments(
    rooms: Rooms,
    project: params.OfProject = None,
    environment: params.OfEnvironment = None,
    status: params.OfStatus = None,
    cursor: params.Cursor = None,
    limit: params.Limit = 50,
) -> Page[DeploymentDocument]:
    """Return deployments and rollbacks, newest first."""
    return await rooms.coordinator.list(
        project=project, environment=environment, status=status, cursor=cursor, limit=limit
    )


@router.get(
    "/deployments/{deployment}",
    operation_id="get_deployment",
    summary="One deployment",
    responses=problems_of(404),
)
async def get_deployment(deployment: params.Deployment, rooms: Rooms) -> DeploymentDetail:
    """Return a deployment with its phases and steps as they went."""
    return await rooms.coordinator.show(deployment)


def _add_verb(verb: Verb, summary: str, description: str) -> None:
    @router.post(
        f"/deployments/{{deployment}}/{verb}",
        operation_id=f"{verb}_deployment",
        summary=summary,
        description=description,
        dependencies=[params.idempotent, takes_json],
        responses=problems_of(403, 404, 408, 409, 413, 415, 503, 507),
    )
    async def act(
        deployment: params.Deployment, request: ActRequest, rooms: Rooms, by: By
    ) -> DeploymentDocument:
        return await rooms.coordinator.act(deployment, verb, request.reason, by.name)


_add_verb("pause", "Pause a deployment", "Stop before the next step; what is done stays as it is.")
_add_verb("resume", "Resume a deployment", "Go on with a paused deployment.")
_add_verb("abort", "Abort a deployment", "Undo what the deployment did, and end it.")
_add_verb(
    "approve",
    "Approve what a deployment waits for",
    "Say yes at the step that waits for an approval; it binds to the digest of the plan.",
)
_add_verb("reject", "Reject a deployment", "Say no at the step that waits for an approval.")
_add_verb(
    "promote",
    "Promote a deployment now",
    "Wait no longer for measurements; approvals are still asked for.",
)
_add_verb(
    "retry",
    "Retry a deployment",
    "Try the failed step of a deployment under way now; of an ended one, start a new deployment "
    "with the same request, whose identifier is in the answer.",
)


async def _require_release(rooms: Rooms, request: DeployRequest) -> None:
    # Said here, before anything is recorded: a release that is not whole cannot be deployed.
    await asyncio.to_thread(rooms.catalogue.get, request.intent.project, request.release)
