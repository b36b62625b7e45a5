"""Streams: events and log lines as they come, until their end or the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar, cast

from starlette.requests import Request
from starlette.responses import StreamingResponse

from turnout.base import clock
from turnout.base.errors import InvalidInput
from turnout.monitoring.events import EventLog
from turnout.wire import sse
from turnout.wire.api import Event, LogEntry

FINAL_KIND = "deployment.finished"
ENDED = frozenset({"succeeded", "failed", "rolled_back", "aborted", "rejected"})

_QUIET_S = 10.0
"""After so long without an event a comment is sent; proxies give up at 30 to 60 seconds."""
_RETRY_MS = 1000
_LARGEST_SEQ = 2**53

ItemT = TypeVar("ItemT")


def wants_stream(request: Request, *, by_default: bool) -> bool:
    """Return whether a client asks for a stream rather than a JSON page, by its Accept header."""
    accepted = [
        part.partition(";")[0].strip().lower()
        for part in request.headers.get("accept", "*/*").split(",")
    ]
    for media_type in accepted:
        if media_type == sse.MEDIA_TYPE:
            return True
        if media_type in ("application/json", "application/*"):
            return False
    return by_default


def start_of(request: Request, after: int | None) -> int | None:
    """Return after which event a stream starts: ``Last-Event-ID`` first, then ``?after=``.

    A browser that connects again sends the header on top of the address it was given at first.

    Raises:
        InvalidInput: The header is not the number of an event.
    """
    sent = request.headers.get("last-event-id", "").strip()
    if not sent:
        return after
    if not (sent.isascii() and sent.isdecimal()) or int(sent[:20]) > _LARGEST_SEQ:
        raise InvalidInput(
            "The header 'Last-Event-ID' is not valid",
            why="it is the number of an event",
            next_step="Send back the 'id' of the last event that you got, or leave it out.",
        )
    return int(sent)


def event_stream(
    log: EventLog, closing: asyncio.Event, after: int, *, deployment: str | None, ended: bool
) -> StreamingResponse:
    """Return a response that sends events after *after*, without a gap.

    Args:
        log: The events.
        closing: The sign that the server stops.
        after: The number of the last event that the client has.
        deployment: Only this one's, up to its final event; None for all, without end.
        ended: The deployment has ended already, so nothing more will come.
    """
    source = _stored(log, after, deployment) if ended else log.follow(after, deployment=deployment)

    async def body() -> AsyncIterator[bytes]:
        yield f"retry: {_RETRY_MS}\n\n".encode()
        spoke = clock.monotonic()
        async for batch in until(closing, source):
            for event in batch or ():
                yield sse.frame_event(event)
                if deployment is not None and event.kind == FINAL_KIND:
                    return
            if batch:
                spoke = clock.monotonic()
            elif clock.monotonic() - spoke >= _QUIET_S:
                yield sse.HEARTBEAT
                spoke = clock.monotonic()

    return _response(body())


def log_stream(
    tail: Sequence[LogEntry], lines: AsyncIterator[LogEntry], closing: asyncio.Event
) -> StreamingResponse:
    """Return a response that sends log lines: those of *tail*, then new ones, then ``end``.

    A line that is in both is sent once.  Without the final ``end`` the connection was cut.
    """

    async def body() -> AsyncIterator[bytes]:
        sent = set()
        for entry in tail:
            text = sse.text_of(entry)
            sent.add(text)
            yield sse.frame(text, kind="log")
        async for found in until(closing, lines, sign_of_life=_QUIET_S):
            if found is None:
                yield sse.HEARTBEAT
                continue
            text = sse.text_of(found)
            if text not in sent:
                yield sse.frame(text, kind="log")
        if not closing.is_set():
            yield sse.frame("{}", kind="end")

    return _response(body())


async def until(
    closing: asyncio.Event, source: AsyncIterator[ItemT], *, sign_of_life: float | None = None
) -> AsyncIterator[ItemT | None]:
    """Yield from *source* until *closing* is set, and close it whatever happens.

    Args:
        closing: Ends it at once, even while the source waits.
        source: What is passed on.
        sign_of_life: After so many quiet seconds None is yielded.
    """
    bell = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[ItemT] | None = None
    try:
        while True:
            if step is None:
                # Any awaitable __anext__ can be a task; the cast is for the type checker alone.
                step = asyncio.ensure_future(cast("Coroutine[Any, Any, ItemT]", anext(source)))
            both: set[asyncio.Future[Any]] = {bell, step}
            await asyncio.wait(both, timeout=sign_of_life, return_when=asyncio.FIRST_COMPLETED)
            if bell.done():
                return
            if not step.done():
                yield None
                continue
            done, step = step, None
            try:
                item = done.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        bell.cancel()
        if step is not None:
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def _stored(log: EventLog, after: int, deployment: str | None) -> AsyncIterator[list[Event]]:
    while True:
        batch = await asyncio.to_thread(log.after, after, deployment=deployment)
        if not batch:
            return
        yield batch
        after = batch[-1].seq


def _response(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(
        body,
        media_type=sse.MEDIA_TYPE,
        # nginx and its like would otherwise collect the stream until a buffer is full.
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )
