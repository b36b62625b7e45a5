"""What this host counts: the router's counters by revision, and what its instances use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from turnout.agent.instances import Instances
from turnout.agent.routing import Routing
from turnout.agent.usage import Usage
from turnout.routers.port import Router, Statistics
from turnout.wire import agent as wire
from turnout.wire.statistics import HostStatistics, InstanceUsage, RevisionCounters


class Counting:
    """Looks at everything that is counted, one look at a time."""

    def __init__(self, host: str, instances: Instances, routing: Routing, router: Router) -> None:
        self._host = host
        self._instances = instances
        self._routing = routing
        self._router = router
        self._usage = Usage()
        self._turn = asyncio.Lock()

    async def statistics(self) -> HostStatistics:
        """Return what was counted until now.

        Raises:
            Unreachable: The router does not answer; what it counted is not nothing then.
        """
        async with self._turn:
            counted = await self._router.statistics()
            at = time.time()
            routes, used = await asyncio.to_thread(self._look)
        return HostStatistics(
            host=self._host,
            at=at,
            counting_since=counted.counting_since,
            revisions=tuple(_counters(counted, routes)),
            instances=used,
        )

    def _look(self) -> tuple[list[wire.RoutesWanted], tuple[InstanceUsage, ...]]:
        return self._routing.all(), self._usage.look(self._instances.all())


def _counters(counted: Statistics, routes: Sequence[wire.RoutesWanted]) -> list[RevisionCounters]:
    """Return the counters of every revision that a scope's routing names."""
    weights = {(r.scope, revision): w for r in routes for revision, w in r.weights.items()}
    releases = {(r.scope, route.revision): route.release for r in routes for route in r.revisions}
    return [
        RevisionCounters(
            scope=scope,
            revision=one.revision,
            release=releases[scope, one.revision],
            weight=weights.get((scope, one.revision), 0),
            requests=one.requests,
            by_class=dict(one.by_class),
            failures=one.failures,
            in_flight=one.in_flight,
            latency=one.latency,
            ejections=one.ejections,
        )
        for scope, one in counted.backends
        if (scope, one.revision) in releases
    ]
