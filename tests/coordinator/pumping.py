"""Quick seconds: a pump feeds the series of a rig many times a second, as the collector would."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.coordinator.rig import Rig

TICK_S = 0.03


class Pump:
    """Ends a second of the series every few milliseconds.

    Attributes:
        silent: Whether the host does not answer; each second is then one without it.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        # Within what counts as the live release's past, and not ahead of the clock for a while.
        self._second = math.floor(time.time()) - 590
        self.silent = False

    async def work(self) -> None:
        """Feed for ever."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """End one second."""
        host, series = self._rig.host, self._rig.ctx.series
        if not self.silent:
            series.note(await host.statistics())
        self._second += 1
        series.close(self._second, [host.name])


@asynccontextmanager
async def pumping(rig: Rig) -> AsyncIterator[Pump]:
    """Feed a rig that was made with ``collects=False``."""
    pump = Pump(rig)
    await pump.tick()
    task = asyncio.create_task(pump.work())
    try:
        yield pump
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
