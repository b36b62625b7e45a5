"""Routers: restarted for a new version or a fresh start, with no request dropped."""

from __future__ import annotations

from fastapi import APIRouter

from turnout.api import params
from turnout.api.access import By
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.wire.agent import RouterRestarted

router = APIRouter(prefix="/hosts/{host}/router", tags=["routers"])


@router.post(
    "/restart",
    operation_id="restart_router",
    summary="Restart a host's router",
    dependencies=[params.idempotent],
    responses=problems_of(403, 404, 408, 409, 413, 503, 507),
)
async def restart_router(host: params.Host, rooms: Rooms, by: By) -> RouterRestarted:
    """Replace the router's process by a fresh one that takes over its connections.

    It answers when the fresh one has taken over.  Requests under way go on in the old one, for up
    to ten minutes.
    """
    return await rooms.coordinator.restart_router(host, by.name)
