"""A request body as a thread reads it: fed by the event loop, a few chunks ahead at most."""

from __future__ import annotations

import asyncio
import collections
import threading

from turnout.base.errors import Aborted
from turnout.base.failpoints import hit

CHUNKS = 8
"""Chunks that may wait to be read."""


class Inlet:
    """A stream between the event loop, which feeds it, and one thread, which reads it.

    Args:
        failpoint: Reached when the reader comes back for more, which is half-way.
    """

    def __init__(self, failpoint: str) -> None:
        self._failpoint = failpoint
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._changed = threading.Condition()
        self._chunks: collections.deque[bytes] = collections.deque()
        self._head: list[bytes] | None = []
        self._rest = memoryview(b"")
        self._ended = self._aborted = self._closed = self._begun = False

    async def feed(self, chunk: bytes) -> bool:
        """Pass *chunk* on, an empty one at the end; return False if nobody reads any more."""
        while len(self._chunks) >= CHUNKS and not self._closed:
            self._room.clear()
            if len(self._chunks) >= CHUNKS and not self._closed:
                await self._room.wait()
        if self._closed:
            return False
        with self._changed:
            self._chunks.append(chunk)
            self._changed.notify()
        return True

    def abort(self) -> None:
        """Make the reader fail: the rest will not come."""
        with self._changed:
            self._aborted = True
            self._changed.notify()

    def close(self) -> None:
        """Say that nobody reads any more; called by the event loop."""
        self._closed = True
        self._room.set()

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes, nothing at the end; called by the thread.

        Raises:
            Aborted: The sender went away.
        """
        if not self._rest and not self._ended:
            self._rest = memoryview(self._next())
            self._ended = not self._rest
        data = bytes(self._rest[:size])
        self._rest = self._rest[len(data) :]
        if self._head is not None:
            self._head.append(data)
        return data

    def rewind(self) -> None:
        """Let what was read so far be read again, once."""
        assert self._head is not None
        self._rest = memoryview(b"".join([*self._head, self._rest]))
        self._head = None

    def _next(self) -> bytes:
        if self._begun:
            hit(self._failpoint)
        self._begun = True
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._aborted)
            if self._aborted:
                raise Aborted("The package did not arrive whole", why="the sender went away")
            chunk = self._chunks.popleft()
        self._loop.call_soon_threadsafe(self._room.set)
        return chunk
