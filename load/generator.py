"""The generator: starts requests when they are due and keeps a record of each."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from load.answers import Broken
from load.clients import Clients, Pace
from load.report import Record, Report
from load.targets import DEFAULT_MIX, Kind, Target

MAX_OPEN = 2000
"""Requests under way at once; what is due beyond that is counted as skipped."""


class Load:
    """Open-loop load on some targets, from entering the context to leaving it.

    Args:
        targets: Asked in turn; more can be added under way.
        rate: Requests a second, over all targets.
        kinds: The share of each kind of client.
        count: End after this many requests.
        duration_s: End after this many seconds.
        timeout_s: A request that takes longer is a failure; slow and streaming ones get their
            own time on top.
        slow_s: Seconds that slow clients take.
        stream_s: Seconds after which streaming clients hang up.
        seed: Fixes the order of the kinds.
    """

    def __init__(
        self,
        targets: Sequence[Target] = (),
        *,
        rate: float = 50.0,
        kinds: Mapping[Kind, float] = DEFAULT_MIX,
        count: int | None = None,
        duration_s: float | None = None,
        timeout_s: float = 30.0,
        slow_s: float = 1.0,
        stream_s: float = 3.0,
        seed: int = 1,
    ) -> None:
        self.rate = rate
        self._targets = list(targets)
        self._kinds = dict(kinds)
        self._count = count
        self._duration_s = duration_s
        self._timeout_s = timeout_s
        self._pace = Pace(slow_s, stream_s)
        self._clients = Clients(self._pace)
        self._random = random.Random(seed)
        self._records: list[Record] = []
        self._skipped = 0
        self._open: set[asyncio.Task[None]] = set()
        self._pacing: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._pacing = asyncio.create_task(self._issue(), name="load")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def add(self, target: Target) -> None:
        """Put load on a further target from now on."""
        self._targets.append(target)

    def report(self) -> Report:
        """Return what was seen so far; requests under way are not in it."""
        return Report(tuple(self._records), self._skipped)

    async def done(self) -> None:
        """Wait for the end that *count* or *duration_s* sets, and for the last answer."""
        if self._pacing is not None:
            await self._pacing
        while self._open:
            await asyncio.wait(self._open)

    async def seen(self, requests: int, timeout_s: float = 30.0) -> None:
        """Wait until so many more requests have ended.

        Raises:
            TimeoutError: That took longer than *timeout_s*.
        """
        goal = len(self._records) + requests
        async with asyncio.timeout(timeout_s), self._progress:
            await self._progress.wait_for(lambda: len(self._records) >= goal)

    async def stop(self) -> None:
        """Start no more requests, let those under way end, and close all connections.

        What is still without an answer after the timeout of a request counts as failed.
        """
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.gather(self._pacing, return_exceptions=True)
        self._pace.hang_up.set()
        if self._open:
            await asyncio.wait(self._open)  # each has a timeout of its own
        self._clients.close()

    async def _issue(self) -> None:
        begin = due = time.monotonic()
        issued = 0
        while self._count is None or issued < self._count:
            if self._duration_s is not None and due - begin >= self._duration_s:
                break
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            elif issued % 64 == 0:
                await asyncio.sleep(0)  # behind: let the answers be read all the same
            if self._targets:
                self._start(self._targets[issued % len(self._targets)], due)
                issued += 1
            due += 1 / self.rate

    def _start(self, target: Target, due: float) -> None:
        if len(self._open) >= MAX_OPEN:
            self._skipped += 1
            return
        task = asyncio.create_task(self._one(self._pick(target), target, due))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def _pick(self, target: Target) -> Kind:
        served = [kind for kind in self._kinds if target.serves(kind)]
        return self._random.choices(served, [self._kinds[kind] for kind in served])[0]

    async def _one(self, kind: Kind, target: Target, due: float) -> None:
        status, release, failure = 0, "", ""
        try:
            async with asyncio.timeout(self._limit(kind)):
                answer = await self._clients.request(kind, target)
            status = answer.status
            release = answer.headers.get("x-turnout-release", "")
            if status not in target.statuses:
                failure = f"status {status}"
            elif target.check is not None and kind not in (Kind.STREAM, Kind.SLOW_UPLOAD):
                failure = target.check(answer)
        except Broken as error:
            failure = str(error)
        except TimeoutError:
            failure = "timeout"
        except OSError as error:
            failure = type(error).__name__
        except Exception as error:
            # Whatever went wrong, here or in the target's check: the request has no good answer.
            failure = f"{type(error).__name__}: {error}"
        record = Record(target.label, kind, due, time.monotonic() - due, status, release, failure)
        async with self._progress:
            self._records.append(record)
            self._progress.notify_all()

    def _limit(self, kind: Kind) -> float:
        own = {
            Kind.STREAM: self._pace.stream_s,
            Kind.SLOW_READER: self._pace.slow_s,
            Kind.SLOW_UPLOAD: self._pace.slow_s,
        }
        return self._timeout_s + own.get(kind, 0.0)
