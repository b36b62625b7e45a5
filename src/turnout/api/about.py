"""About the server: is it there, who is it, and is everything well?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.wire.api import Doctor, ServerInfo
from turnout.wire.model import Report

router = APIRouter(tags=["server"])


class Health(Report):
    """That the server answers; nothing else, for this needs no token."""

    status: Literal["ok"] = "ok"


@router.get("/health", operation_id="get_health", summary="Is the server there?")
async def health() -> Health:
    """Answer without a token and without a word about anything inside."""
    return Health()


@router.get("/server", operation_id="get_server", summary="Who answers", responses=problems_of())
async def server(rooms: Rooms) -> ServerInfo:
    """Return version, addresses and the data directory of the server."""
    return rooms.info


@router.get(
    "/doctor",
    operation_id="get_doctor",
    summary="Is everything well?",
    responses=problems_of(503),
)
async def doctor(rooms: Rooms) -> Doctor:
    """Check the hosts, the router, the disk and the database, and say how to mend what is not."""
    checks = tuple(await rooms.coordinator.doctor())
    return Doctor(ok=all(check.status != "error" for check in checks), checks=checks)
