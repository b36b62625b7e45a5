"""Upkeep: the host is brought to what stands on disk, at the start and ever after.

Level-triggered: nothing here remembers events, so it does not matter whether the agent, a
keeper, Envoy, Caddy or the whole machine went away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from turnout.agent.instances import Instances
from turnout.agent.places import Origin
from turnout.agent.routing import Routing
from turnout.base.errors import TurnoutError
from turnout.routers.port import Router

PROCESSES_EVERY = 0.2
"""Seconds between looks at Envoy and Caddy, for which a client may be waiting."""
INSTANCES_EVERY = 1.0
_LONGEST_PAUSE = 30.0

_log = structlog.get_logger()


class Upkeep:
    """Keeps the processes of this host as they are wanted."""

    def __init__(
        self, instances: Instances, routing: Routing, origin: Origin, router: Router
    ) -> None:
        self._instances = instances
        self._routing = routing
        self._origin = origin
        self._router = router
        self._resting = False
        self._looking: list[asyncio.Lock] = []

    async def rest(self) -> None:
        """Look after nothing any more; return when no look is under way."""
        self._resting = True
        for look in self._looking:
            async with look:
                pass

    async def begin(self) -> None:
        """Start the origin and the router, and tell the router what every scope wants.

        Raises:
            Conflict: The router's port is taken.
            Failed: One of them cannot start; then none is left that was not there before.
        """
        served = await self._origin.alive()
        await self._origin.start()
        try:
            await self._router.start()
        except BaseException:
            # Nobody can reach the origin now; what ran before may be wanted by the next try.
            if not served:
                await self._origin.stop()
            raise
        try:
            await self._routing.reconcile(force=True)
        except TurnoutError as error:
            # The router serves what it had; one bad scope must not keep the host unmanaged.
            _log.error("routing.refused", why=str(error))

    async def run(self) -> None:
        """Look after everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(PROCESSES_EVERY, "origin", self._watch_origin))
            group.create_task(
                self._every(PROCESSES_EVERY, "router", self._watch_router, self._router.ended)
            )
            group.create_task(self._every(INSTANCES_EVERY, "instances", self._watch_instances))

    async def _watch_origin(self) -> None:
        if not await self._origin.alive():
            _log.warning("origin.lost")
            await self._origin.start()
            _log.info("origin.started")

    async def _watch_router(self) -> None:
        if not await self._router.alive():
            _log.warning("router.lost")
            await self._router.start()
            await self._routing.reconcile(force=True)
            _log.info("router.started")

    async def _watch_instances(self) -> None:
        live = frozenset(
            (routes.scope, revision)
            for routes in self._routing.all()
            for revision in routes.weights
        )
        started = await self._instances.repair(live)
        if started:
            _log.warning("instances.restarted", count=started)
        await self._routing.reconcile()

    async def _every(
        self,
        seconds: float,
        subject: str,
        look: Callable[[], Awaitable[None]],
        sooner: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Call *look* again and again; what fails is tried again, more and more rarely.

        Args:
            seconds: Between two looks.
            sooner: Returns when there is something to see before that.
        """
        pause = seconds
        looking = asyncio.Lock()
        self._looking.append(looking)
        while not self._resting:
            try:
                async with looking:
                    await look()
                pause = seconds
            except Exception as error:
                pause = min(pause * 2, _LONGEST_PAUSE)
                known = isinstance(error, TurnoutError)
                _log.error(
                    "upkeep.failed",
                    subject=subject,
                    why=str(error),
                    again_in=pause,
                    exc_info=not known,
                )
            if sooner is None or pause > seconds:
                await asyncio.sleep(pause)
            else:
                with contextlib.suppress(TimeoutError):
                    # Not wait_for, which before Python 3.12 can swallow a cancellation.
                    async with asyncio.timeout(pause):
                        await sooner()
