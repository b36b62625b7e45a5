"""The collector: asks every host each second what it counted, and never waits for a slow one.

All hosts are asked at once.  A host that has not answered when the second ends is missing in
it; its answer, when it comes, belongs to the second that is then under way.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from turnout.base import clock
from turnout.base.errors import NotFound, TurnoutError
from turnout.monitoring.series import Series
from turnout.wire.statistics import HostStatistics

log = structlog.get_logger(__name__)

_WAIT_S = 0.8
"""Of each second, how long answers are waited for; the rest is for those who follow."""
_LIMIT_S = 5.0
"""An answer that takes longer is given up."""
_BACK_OFF_S = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Rest after so many failures in a row; short, for a host that is back is wanted at once."""
_PERSIST_EVERY = 5
"""Seconds between two writes to the database."""


@dataclass
class _Asked:
    """Where we are with one host."""

    task: asyncio.Task[None] | None = None
    failures: int = 0
    rest_until: float = 0.0


class Collector:
    """Feeds the series; start :meth:`work` once.

    Args:
        names: Returns the hosts of this moment.
        ask: Returns what a host counted; it is cancelled after five seconds.
        series: What is fed.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        ask: Callable[[str], Awaitable[HostStatistics]],
        series: Series,
    ) -> None:
        self._names = names
        self._ask = ask
        self._series = series
        self._hosts: dict[str, _Asked] = {}
        self._persisting: asyncio.Task[None] | None = None

    async def work(self) -> None:
        """Collect for ever; when cancelled, write what is left and end."""
        await self._load()
        rounds = 0
        try:
            while True:
                await _next_second()
                try:
                    await self.round(math.floor(clock.now().timestamp()))
                except Exception:
                    # The next second is asked anew; nothing of this one is lost but itself.
                    log.exception("collecting.failed")
                rounds += 1
                if rounds % _PERSIST_EVERY == 0:
                    self._persist_soon()
        finally:
            tasks = [one.task for one in self._hosts.values() if one.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._persisting is not None:
                await asyncio.gather(self._persisting, return_exceptions=True)
            await self._persist()

    async def round(self, second: int) -> None:
        """Ask every host once and close a second.

        Args:
            second: Which one, seconds since 1970.
        """
        names = tuple(self._names())
        for gone in set(self._hosts) - set(names):
            if (task := self._hosts.pop(gone).task) is not None:
                task.cancel()
        now = clock.monotonic()
        for name in names:
            one = self._hosts.setdefault(name, _Asked())
            # Who still owes an answer is not asked again on top.
            if one.task is None and now >= one.rest_until:
                one.task = asyncio.create_task(self._ask_one(name, one))
        waiting = [one.task for one in self._hosts.values() if one.task is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=_WAIT_S)
        self._series.close(second, names)

    async def _ask_one(self, name: str, one: _Asked) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                self._series.note(await self._ask(name))
        except NotFound:
            self._failed(name, one, "its agent is of a version that does not count yet")
        except (TurnoutError, TimeoutError, OSError) as error:
            self._failed(name, one, str(error) or "it did not answer in time")
        except Exception:
            log.exception("collecting.host_failed", host=name)
            self._failed(name, one, "a mistake of our own")
        else:
            if one.failures > 1:
                log.info("collecting.host_back", host=name)
            one.failures = 0
        finally:
            one.task = None

    def _failed(self, name: str, one: _Asked, why: str) -> None:
        one.failures += 1
        if one.failures == 2:
            # Said once: a host that is down would fill the log with a line a second.
            log.warning("collecting.host_silent", host=name, why=why)
        rest = _BACK_OFF_S[min(one.failures - 1, len(_BACK_OFF_S) - 1)]
        one.rest_until = clock.monotonic() + rest

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._series.load)
        except TurnoutError as error:
            log.error("collecting.not_loaded", why=str(error))

    def _persist_soon(self) -> None:
        if self._persisting is None or self._persisting.done():
            self._persisting = asyncio.create_task(self._persist())

    async def _persist(self) -> None:
        try:
            await asyncio.to_thread(self._series.persist)
        except TurnoutError as error:
            # It stays in memory and is written with the next.
            log.error("collecting.not_kept", why=str(error))
        except Exception:
            log.exception("collecting.not_kept")


async def _next_second() -> None:
    await asyncio.sleep(1.0 - clock.now().timestamp() % 1.0)
