"""The newest events in memory, read once for all followers instead of once by each.

A commit wakes every follower.  Two hundred of them that each asked the database would cost two
hundred queries an event; here the first that wakes reads, and the others wait for its answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnout.wire.api import Event

KEPT = 2000
"""Events in memory: what a follower may lag behind before it reads for itself."""


@dataclass(frozen=True)
class _Known:
    """Every event with a number above ``before``, up to the last that was read."""

    before: int
    events: tuple[Event, ...] = ()

    @property
    def last(self) -> int:
        return self.events[-1].seq if self.events else self.before


class Tail:
    """What the followers of one event log share.

    Args:
        read: Returns events with a higher number than the given one, oldest first.
        last: Returns the highest number given so far.
        look_again_s: What was read is good for so long without a bell; another process may write.
    """

    def __init__(
        self, read: Callable[[int], Sequence[Event]], last: Callable[[], int], look_again_s: float
    ) -> None:
        self._read = read
        self._last = last
        self._look_again_s = look_again_s
        self._known: _Known | None = None
        self._stale = True
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._turn = threading.Lock()

    def ring(self) -> None:
        """Note that there may be more; called before the followers are woken."""
        self._stale = True

    async def after(self, seq: int) -> Sequence[Event] | None:
        """Return the events after *seq*; None if memory does not go back so far."""
        while True:
            reading = self._reading
            if reading is not None and _runs_here(reading):
                # It may have begun before the bell that woke us; then this is stale after it.
                await asyncio.shield(reading)
            elif self._stale or time.monotonic() - self._read_at > self._look_again_s:
                self._reading = asyncio.create_task(asyncio.to_thread(self._refresh))
            else:
                break
        known = self._known
        if known is None or seq < known.before:
            return None
        return known.events[bisect_right(known.events, seq, key=lambda event: event.seq) :]

    def _refresh(self) -> None:
        with self._turn:
            self._stale = False
            try:
                known = self._known or _Known(self._last())
                while batch := self._read(known.last):
                    events = (*known.events, *batch)
                    cut = max(0, len(events) - KEPT)
                    known = _Known(events[cut - 1].seq if cut else known.before, events[cut:])
                self._known = known
            except BaseException:
                self._stale = True
                raise
            self._read_at = time.monotonic()


def _runs_here(task: asyncio.Task[None]) -> bool:
    return not task.done() and task.get_loop() is asyncio.get_running_loop()
