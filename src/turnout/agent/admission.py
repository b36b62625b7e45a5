"""Admission: an instance gets requests once it was ready, and no new ones once it drains.

What an instance gets is written down beside its record before the router is told, so that a
crash in between is completed by the next reconciliation.
"""

from __future__ import annotations

from turnout.agent import places, readiness
from turnout.agent.instances import Instances
from turnout.agent.places import Origin, Place
from turnout.agent.readiness import Watched
from turnout.agent.routing import Routing
from turnout.agent.trees import Trees
from turnout.base.failpoints import reached
from turnout.routers.port import Router
from turnout.wire import agent as wire


class Admission:
    """Lets instances of this host into the traffic and takes them out of it."""

    def __init__(
        self,
        instances: Instances,
        trees: Trees,
        origin: Origin,
        routing: Routing,
        router: Router,
    ) -> None:
        self._instances = instances
        self._trees = trees
        self._origin = origin
        self._routing = routing
        self._router = router

    async def await_ready(self, wanted: wire.ReadyWanted) -> wire.ProbeResult:
        """Wait until a revision, or one instance of it, is healthy or is known never to be.

        Instances that are get requests before this returns, if the router reaches the revision,
        and from its first route on otherwise; also those that were draining.

        Raises:
            Failed: The router was not told; asked again, it is.
        """
        await reached("agent.ready.before")
        scope, revision = wanted.scope, wanted.revision
        found = [
            place
            for place in places.of(self._instances, self._trees, self._origin, scope, revision)
            if wanted.index in (None, place.index)
        ]
        watched = [self._watched(place, scope, revision) for place in found]
        asked = {
            one.record.wanted.index: one.record.wanted
            for one in self._instances.of(scope, revision)
        }
        result = await readiness.await_ready(watched, wanted.health)
        if result.verdict != "good":
            return result
        for place in found:
            if place.index is None:
                continue
            admitted = await self._instances.set_admission(
                scope, revision, place.index, "admitted", asked[place.index]
            )
            if admitted is None:
                why = f"instance {place.index} was removed or replaced meanwhile"
                return wire.ProbeResult(verdict="unknown", reason=why, attempts=result.attempts)
        await reached("agent.ready.inside")
        await self._routing.reconcile()
        await reached("agent.ready.after")
        return result

    async def drain(self, wanted: wire.DrainWanted) -> wire.Drained:
        """Wait for the requests of a revision to end, or of one instance that gets no new ones.

        Raises:
            Failed: The router was not told; asked again, it is.
        """
        scope, revision, index = wanted.scope, wanted.revision, wanted.index
        await reached("agent.drain.before")
        if index is None:
            await reached("agent.drain.inside")
            left = await self._router.wait_idle(scope, revision, wanted.deadline)
        else:
            left = await self._drain_one(scope, revision, index, wanted.deadline)
        await reached("agent.drain.after")
        return wire.Drained(left=left)

    async def take_out(self, gone: wire.InstanceGone) -> None:
        """Keep new requests from an instance that is about to be removed.

        Its requests get the grace of the removal to end, unless it was drained before.
        """
        if gone.index is None:
            return  # Its routes were moved away before.
        found = self._instances.one(gone.scope, gone.revision, gone.index)
        if found is not None and found.admission == "admitted":
            await self._drain_one(gone.scope, gone.revision, gone.index, gone.grace)

    async def _drain_one(self, scope: str, revision: str, index: int, deadline: float) -> int:
        found = await self._instances.set_admission(scope, revision, index, "draining")
        await reached("agent.drain.inside")
        if found is None:
            return 0
        await self._routing.reconcile()
        if revision not in self._routing.revisions(scope):
            return 0
        return await self._router.wait_idle(scope, revision, deadline, address=found.record.address)

    def _watched(self, place: Place, scope: str, revision: str) -> Watched:
        index = place.index
        if index is None:
            return Watched(place)
        return Watched(place, lambda: self._instances.one(scope, revision, index))
