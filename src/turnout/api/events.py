"""Events and logs: streams that resume where they were cut, or pages for who asks for JSON."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from turnout.api import params
from turnout.api.contract import page_or_stream, problems_of
from turnout.api.house import House, Rooms
from turnout.api.streams import ENDED, event_stream, log_stream, start_of, wants_stream
from turnout.wire.api import Event, LogEntry, Page

router = APIRouter(tags=["events"])

_LIMIT = 500

Batch = Annotated[
    int, Query(alias="limit", ge=1, le=_LIMIT, description="At most so many events on a page.")
]


@router.get(
    "/events",
    operation_id="stream_events",
    summary="What happens on this server",
    dependencies=[params.resumable],
    responses={**problems_of(), **page_or_stream("EventPage", "Event")},
    response_model=None,
)
async def stream_events(
    request: Request, rooms: Rooms, after: params.After = None, limit: Batch = _LIMIT
) -> Response:
    """Send every event from now on, or after a given one, without end.

    With `Accept: application/json` a page of stored events, oldest first; `next_cursor` is then
    the next page's `after`.
    """
    start = start_of(request, after)
    if not wants_stream(request, by_default=True):
        return await _page(rooms, start or 0, None, limit)
    if start is None:
        start = await asyncio.to_thread(rooms.events.last_seq)
    return event_stream(rooms.events, rooms.closing, start, deployment=None, ended=False)


@router.get(
    "/deployments/{deployment}/events",
    operation_id="stream_deployment_events",
    summary="What happens in a deployment",
    dependencies=[params.resumable],
    responses={
        **problems_of(404),
        **page_or_stream("EventPage", "Event"),
        204: {"description": "It has ended, and you have its last event: do not ask again."},
    },
    response_model=None,
)
async def stream_deployment_events(
    deployment: params.Deployment,
    request: Request,
    rooms: Rooms,
    after: params.After = None,
    limit: Batch = _LIMIT,
) -> Response:
    """Send the events of a deployment from its first one, or after a given one.

    The stream ends after `deployment.finished`.
    """
    start = start_of(request, after) or 0
    # The status is read before the events: if it says that the deployment has ended, then its
    # final event, written in the same transaction, is among them.
    ended = (await rooms.coordinator.show(deployment)).status in ENDED
    if not wants_stream(request, by_default=True):
        return await _page(rooms, start, deployment, limit)
    if ended and "last-event-id" in request.headers:
        rest = await asyncio.to_thread(rooms.events.after, start, deployment=deployment, limit=1)
        if not rest:
            return Response(status_code=204)
    return event_stream(rooms.events, rooms.closing, start, deployment=deployment, ended=ended)


@router.get(
    "/deployments/{deployment}/logs",
    operation_id="get_deployment_logs",
    summary="The log of a deployment",
    responses={**problems_of(404, 503), **page_or_stream("LogPage", "LogEntry")},
    response_model=None,
)
async def get_deployment_logs(
    deployment: params.Deployment,
    request: Request,
    rooms: Rooms,
    tail: Annotated[int, Query(ge=0, le=10_000, description="So many of the last lines.")] = 200,
    follow: Annotated[
        bool, Query(description="Go on with new lines as a stream, until the deployment ends.")
    ] = False,
) -> Response:
    """Return log lines of a deployment and its instances, oldest first.

    With `follow`, or `Accept: text/event-stream`, a stream of `log` events that closes with an
    `end` event.
    """
    await rooms.coordinator.show(deployment)
    lines = await rooms.coordinator.logs(deployment, tail=tail) if tail else []
    if follow or wants_stream(request, by_default=False):
        return log_stream(lines, rooms.coordinator.follow_logs(deployment), rooms.closing)
    return _json(Page[LogEntry](items=tuple(lines)))


async def _page(rooms: House, after: int, deployment: str | None, limit: int) -> Response:
    found = await asyncio.to_thread(rooms.events.after, after, deployment=deployment, limit=limit)
    more = str(found[-1].seq) if len(found) == limit else None
    return _json(Page[Event](items=tuple(found), next_cursor=more))


def _json(page: Page[Event] | Page[LogEntry]) -> Response:
    return Response(page.model_dump_json(), media_type="application/json")
