"""Releases: what a project has, newest first, and where each is live."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from turnout.api import cursors, params
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.wire.api import Page, ReleaseDocument

router = APIRouter(prefix="/projects/{project}/releases", tags=["releases"])


@router.get(
    "",
    operation_id="list_releases",
    summary="List the releases of a project",
    responses=problems_of(404),
)
async def list_releases(
    project: params.Project, rooms: Rooms, cursor: params.Cursor = None, limit: params.Limit = 50
) -> Page[ReleaseDocument]:
    """Return releases that are stored whole, newest first."""
    before = None if cursor is None else cursors.decode(cursor)
    # One more than asked for tells whether there is another page.
    found = await asyncio.to_thread(rooms.catalogue.page, project, before=before, limit=limit + 1)
    live = await rooms.coordinator.live_releases(project)
    items = tuple(
        ReleaseDocument(**facts.__dict__, live_in=live.get(facts.release, ()))
        for facts in found[:limit]
    )
    more = len(found) > limit
    return Page(
        items=items,
        next_cursor=cursors.encode(items[-1].created_at, items[-1].release) if more else None,
    )


@router.get(
    "/{release}",
    operation_id="get_release",
    summary="One release",
    responses=problems_of(404),
)
async def get_release(
    project: params.Project, release: params.Release, rooms: Rooms
) -> ReleaseDocument:
    """Return what is known of a release, and the environments that serve it now."""
    facts = await asyncio.to_thread(rooms.catalogue.get, project, release)
    live = await rooms.coordinator.live_releases(project)
    return ReleaseDocument(**facts.__dict__, live_in=live.get(release, ()))
