"""The event log: an ordered record of what happened, that can be followed without a gap.

An event is written in the transaction of the change it tells of.  Followers wait for the bell
of a commit and then read by ``seq``, so nothing is lost between reading and waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.monitoring.tables import events
from turnout.monitoring.tail import Tail
from turnout.wire.api import Event

_NUMBERING = 0x7475726E  # "turn"; any number that nobody else locks
_LOOK_AGAIN_S = 2.0
"""Another process may have written; without its bell we look by ourselves this often."""


class EventLog:
    """The events of one server.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._tail = Tail(self.after, self.last_seq, _LOOK_AGAIN_S)
        database.on_commit(self._ring)

    def append(
        self,
        connection: sa.Connection,
        kind: str,
        *,
        project: str | None = None,
        environment: str | None = None,
        deployment: str | None = None,
        **data: Any,
    ) -> None:
        """Write one event in the caller's transaction; *data* must be plain JSON, no secret."""
        if connection.dialect.name == "postgresql":
            # Numbers are given before the commit: without a lock until then, a follower could
            # see a number and never the lower one that another transaction commits later.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_NUMBERING)))
        connection.execute(
            events.insert().values(
                at=clock.now(),
                kind=kind,
                project=project,
                environment=environment,
                deployment=deployment,
                data=data,
            )
        )

    def after(self, seq: int, *, deployment: str | None = None, limit: int = 500) -> list[Event]:
        """Return events with a higher number than *seq*, oldest first, at most *limit*."""
        query = events.select().where(events.c.seq > seq).order_by(events.c.seq).limit(limit)
        if deployment is not None:
            query = query.where(events.c.deployment == deployment)
        with self._database.reading() as connection:
            return [Event.model_validate(dict(row._mapping)) for row in connection.execute(query)]

    def forget(self, before: datetime) -> int:
        """Delete events older than a time; return how many.  Numbers are never given again."""
        with self._database.transaction() as connection:
            return connection.execute(events.delete().where(events.c.at < before)).rowcount

    def last_seq(self) -> int:
        """Return the highest number given so far, 0 if none."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.func.max(events.c.seq))).scalar() or 0

    async def follow(
        self, seq: int, *, deployment: str | None = None
    ) -> AsyncIterator[list[Event]]:
        """Yield batches of events after *seq* as they come; an empty batch now and then.

        The empty batches (every two quiet seconds) let a door send a sign of life.
        """
        bell = asyncio.Event()
        entry = (asyncio.get_running_loop(), bell)
        self._waiting.add(entry)
        try:
            while True:
                bell.clear()
                batch = await self._tail.after(seq)
                if batch is None:
                    batch = await asyncio.to_thread(self.after, seq)
                if batch:
                    seq = batch[-1].seq
                    if mine := [e for e in batch if deployment in (None, e.deployment)]:
                        yield mine
                    continue
                try:
                    async with asyncio.timeout(_LOOK_AGAIN_S):
                        await bell.wait()
                except TimeoutError:
                    yield []
        finally:
            self._waiting.discard(entry)

    def _ring(self) -> None:
        self._tail.ring()
        for loop, bell in list(self._waiting):
            try:
                loop.call_soon_threadsafe(bell.set)
            except RuntimeError:
                # The loop has been closed; its follower is gone with it.
                self._waiting.discard((loop, bell))
