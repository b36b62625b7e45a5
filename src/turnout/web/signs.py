"""The signs of change: a stream that says when to look again, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from turnout.wire import sse

BEAT_S = 2.0
"""Seconds between two beats: what is counted, such as traffic, changes without an event."""


async def signs(
    after: int, batches: AsyncIterator[list[Any]], closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Yield the framed number of every event, as a sign to look again, and a beat in between.

    Args:
        after: The last event that the page has seen.
        batches: Events after it as they come, with an empty batch now and then.
        closing: Ends the stream.
    """
    yield sse.frame(str(after), kind="hello", retry_ms=1000)
    async with aclosing(_stoppable(batches, closing)) as numbers:
        async for last in numbers:
            if last is None:
                yield sse.frame("", kind="beat")
            else:
                yield sse.frame(str(last), kind="change", seq=last)


async def _stoppable(
    source: AsyncIterator[list[Any]], closing: asyncio.Event
) -> AsyncGenerator[int | None, None]:
    """Yield the last number of each batch, and None at each beat, until *closing* is set."""
    clock = asyncio.get_running_loop().time
    bell = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[list[Any]] | None = None
    beat = clock() + BEAT_S
    try:
        while True:
            # Other events, and those of others, neither hasten the beat nor hold it up.
            step = step or asyncio.ensure_future(source.__anext__())
            both: set[asyncio.Future[Any]] = {bell, step}
            left = max(0.0, beat - clock())
            await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if bell.done():
                return
            if step.done():
                batch, step = step.result(), None
                if batch:
                    yield batch[-1].seq
            if clock() >= beat:
                beat = clock() + BEAT_S
                yield None
    finally:
        bell.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
