"""The signs of change: a stream that says when to look again, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from turnout.wire import sse

_QUIET_BATCHES = 5
"""The event log yields an empty batch every two seconds; a sign of life goes out every ten."""


async def signs(
    after: int, batches: AsyncIterator[list[Any]], closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Yield the framed number of every event, as a sign to look again.

    Args:
        after: The last event that the page has seen.
        batches: Events after it as they come, with an empty batch now and then.
        closing: Ends the stream.
    """
    yield sse.frame(str(after), kind="hello", retry_ms=1000)
    quiet = 0
    async with aclosing(_stoppable(batches, closing)) as numbers:
        async for last in numbers:
            if last is not None:
                quiet = 0
                yield sse.frame(str(last), kind="change", seq=last)
                continue
            quiet += 1
            if quiet % _QUIET_BATCHES == 0:
                yield sse.HEARTBEAT


async def _stoppable(
    source: AsyncIterator[list[Any]], closing: asyncio.Event
) -> AsyncGenerator[int | None, None]:
    """Yield the last number of each batch, None for an empty one, until *closing* is set."""
    bell = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[list[Any]] | None = None
    try:
        while True:
            step = asyncio.ensure_future(source.__anext__())
            both: set[asyncio.Future[Any]] = {bell, step}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if bell.done():
                return
            batch = step.result()
            yield batch[-1].seq if batch else None
    finally:
        bell.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)
