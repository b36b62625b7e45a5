"""The exporter: sends the trace of each deployment when it has ended, where somebody wants it.

It follows the events as any reader does, so nothing that becomes of a trace touches a
deployment.  What ended while no server ran to send it is not made up for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from turnout.base.errors import TurnoutError
from turnout.monitoring import otlp
from turnout.monitoring.events import EventLog
from turnout.monitoring.otlp import Endpoint
from turnout.wire.api import DeploymentDetail

log = structlog.get_logger(__name__)

_AT_ONCE = 4
_REST_S = 5.0


class Exporter:
    """Sends traces; start :meth:`work` once.

    Args:
        events: Where the ends of deployments are told.
        show: Returns a deployment with its phases and steps.
        endpoint: Where traces go.
    """

    def __init__(
        self,
        events: EventLog,
        show: Callable[[str], Awaitable[DeploymentDetail]],
        endpoint: Endpoint,
    ) -> None:
        self._events = events
        self._show = show
        self._endpoint = endpoint
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Send for ever; when cancelled, give up what is under way."""
        try:
            while True:
                try:
                    await self._follow()
                except TurnoutError as error:
                    log.error("exporting.failed", why=str(error))
                except Exception:
                    log.exception("exporting.failed")
                await asyncio.sleep(_REST_S)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _follow(self) -> None:
        seq = await asyncio.to_thread(self._events.last_seq)
        async for batch in self._events.follow(seq):
            for event in batch:
                if event.kind == "deployment.finished" and event.deployment:
                    # A slow collector must not keep the next trace waiting for its time-outs.
                    task = asyncio.create_task(self._send(event.deployment))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)

    async def _send(self, deployment: str) -> None:
        try:
            async with self._turns:
                await otlp.export(await self._show(deployment), self._endpoint)
        except TurnoutError as error:
            log.warning("exporting.not_sent", deployment=deployment, why=str(error))
        except Exception:
            log.exception("exporting.not_sent", deployment=deployment)
