"""The agent's operations: the wire's requests, each as one call.

Independent of the transport: the app above it turns HTTP into these calls.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import turnout
from turnout.agent import binaries, cgroups, logpages, places, probes, renewing
from turnout.agent.accesslogs import AccessLogs
from turnout.agent.admission import Admission
from turnout.agent.commands import Commands
from turnout.agent.counting import Counting
from turnout.agent.instances import Instances
from turnout.agent.paths import Layout
from turnout.agent.places import Origin, Place
from turnout.agent.probes import Question
from turnout.agent.pruning import Pruning
from turnout.agent.routing import Routing
from turnout.agent.staging import Staging
from turnout.agent.trees import Trees
from turnout.agent.upkeep import Upkeep
from turnout.base.errors import Conflict
from turnout.base.failpoints import reached
from turnout.packages.hosting import HostReleases
from turnout.routers.port import Router
from turnout.wire import agent as wire
from turnout.wire.statistics import HostStatistics

TAIL = 20
"""Log lines that go with a bad verdict."""


class Agent:
    """Everything that the agent of one host can do.

    Args:
        name: The host's name.
        layout: Where it keeps what.
        http: Address and port on which the router serves.
        router: The router of this host.
        origin: The static origin of this host.
    """

    def __init__(
        self, name: str, layout: Layout, http: tuple[str, int], router: Router, origin: Origin
    ) -> None:
        self._name = name
        self._layout = layout
        self._http = http
        self._router = router
        self._origin = origin
        layout.make()
        self._releases = HostReleases(layout.releases)
        self._trees = Trees(layout, self._releases)
        self._instances = Instances(
            layout, self._trees, cgroups.delegated(), lambda: self._routing.reconcile()
        )
        self._staging = Staging(layout, self._releases, self._trees)
        self._routing = Routing(layout, self._instances, self._trees, origin, router)
        self._admission = Admission(self._instances, self._trees, origin, self._routing, router)
        self._commands = Commands(layout, self._trees)
        self._access_logs = AccessLogs(layout, self._routing)
        self._counting = Counting(name, self._instances, self._routing, router)
        self._pruning = Pruning(
            layout,
            self._releases,
            self._trees,
            self._instances,
            self._routing,
            self._staging,
            self._commands,
            self._access_logs,
        )
        self._upkeep = Upkeep(self._instances, self._routing, origin, router)
        self._binaries: tuple[wire.BinaryFact, ...] = ()

    async def begin(self) -> None:
        """Sweep what a crash left, and bring up what carries traffic.

        Raises:
            Conflict: The router's port is taken.
            Failed: The router or the origin cannot start.
        """
        await asyncio.to_thread(self._releases.sweep)
        await asyncio.to_thread(self._trees.sweep)
        await asyncio.to_thread(self._commands.sweep)
        self._commands.adopt()
        await self._upkeep.begin()
        self._binaries = tuple(map(_binary_fact, await asyncio.to_thread(binaries.describe)))

    async def keep_up(self) -> None:
        """Finish interrupted removals, then look after every process until cancelled."""
        await self._instances.finish_removals()
        renewal = asyncio.create_task(renewing.renew(self._router))
        try:
            await self._upkeep.run()
        finally:
            renewal.cancel()

    def hello(self) -> wire.Hello:
        """Return who answers."""
        return wire.Hello(
            versions=(wire.VERSION,),
            host=self._name,
            agent=turnout.__version__,
            pid=os.getpid(),
        )

    async def facts(self) -> wire.HostFacts:
        """Return what is on the host now."""
        router_alive, origin_alive = await asyncio.gather(
            self._router.alive(), self._origin.alive()
        )
        return wire.HostFacts(
            host=self._name,
            agent=turnout.__version__,
            releases=tuple(sorted(self._releases.held())),
            instances=tuple(instance.fact() for instance in self._instances.all()),
            sites=tuple(
                wire.SiteFact(scope=s.scope, revision=s.revision, release=s.release)
                for s in self._trees.sites()
            ),
            routes=self._routing.facts(),
            router_alive=router_alive,
            origin_alive=origin_alive,
            disk_free_bytes=shutil.disk_usage(self._layout.data).free,
            memory_free_bytes=_memory_free(),
            binaries=self._binaries,
        )

    async def lacking(self, manifest: bytes) -> wire.Lacking:
        """Return the digests of a manifest that would have to be sent."""
        return await self._staging.lacking(manifest)

    async def stage(self, body: AsyncIterator[bytes]) -> wire.Staged:
        """Receive a package and unpack it."""
        return await self._staging.stage(body)

    async def ensure_site(self, wanted: wire.SiteWanted) -> None:
        """Make a static root exist."""
        await self._trees.site(wanted)

    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        """Keep hashed assets of earlier releases reachable."""
        await self._trees.bridge(wanted)

    async def ensure_instance(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        """Make an instance run."""
        return await self._instances.ensure(wanted)

    async def remove_instances(self, gone: wire.InstanceGone) -> None:
        """Stop instances, which get no requests any more by then, or remove a static root.

        Raises:
            Conflict: The revision still has traffic.
        """
        if gone.index is None and gone.revision in self._routing.revisions(gone.scope, live=True):
            raise Conflict(
                "The revision still takes traffic",
                subject=f"{gone.scope}/{gone.revision}",
                next_step="Route its traffic elsewhere first.",
            )
        await self._admission.take_out(gone)
        await self._instances.remove(gone.scope, gone.revision, gone.index, gone.grace)
        if gone.index is None:
            await self._trees.remove_site(gone.scope, gone.revision)

    async def await_ready(self, wanted: wire.ReadyWanted) -> wire.ProbeResult:
        """Wait until a revision or an instance is healthy and gets requests, or never will."""
        result = await self._admission.await_ready(wanted)
        return await self._with_log(result, wanted.scope, wanted.revision)

    async def probe(self, wanted: wire.ProbeWanted) -> wire.ProbeResult:
        """Ask every place of a revision once; the worst answer counts."""
        scope, revision = wanted.scope, wanted.revision
        question = Question(wanted.path, wanted.expect, wanted.contains, wanted.timeout)
        if wanted.through_router:
            asked = self._through_router(scope, revision, question)
        else:
            asked = [
                (place.address, place.carrying(question)) for place in self._places(scope, revision)
            ]
        if not asked:
            return wire.ProbeResult(
                verdict="unknown", reason="nothing of this revision is on the host", attempts=0
            )
        answers = await asyncio.gather(*(probes.ask(address, q) for address, q in asked))
        worst = max(answers, key=lambda answer: (not answer.good, answer.latency_ms))
        result = wire.ProbeResult(
            verdict="good" if worst.good else "bad",
            reason=worst.reason,
            status=worst.status,
            latency_ms=worst.latency_ms,
            attempts=len(answers),
        )
        if not worst.good and worst.status is None and not await self._serves(wanted):
            # What carries the answers is down: that says nothing about the release.
            return result.model_copy(update={"verdict": "unavailable"})
        return await self._with_log(result, scope, revision)

    async def _serves(self, wanted: wire.ProbeWanted) -> bool:
        """Return whether the processes between the prober and the revision are up."""
        if wanted.through_router and not await self._router.alive():
            return False
        static = any(
            site.scope == wanted.scope and site.revision == wanted.revision
            for site in self._trees.sites()
        )
        return not static or await self._origin.alive()

    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        """Set the routing of a scope."""
        return await self._routing.route(wanted)

    async def unroute(self, scope: str) -> None:
        """Take a scope out of the router."""
        await self._routing.unroute(scope)

    async def drain(self, wanted: wire.DrainWanted) -> wire.Drained:
        """Wait for the requests of a revision to end, or of one instance of it."""
        return await self._admission.drain(wanted)

    async def traffic(self, scope: str) -> wire.TrafficReport:
        """Return what the router counted for every revision of a scope."""
        routes = self._routing.wanted(scope)
        if routes is None:
            return wire.TrafficReport(scope=scope, revisions=())
        releases = {route.revision: route.release for route in routes.revisions}
        return wire.TrafficReport(
            scope=scope,
            revisions=tuple(
                wire.Traffic(
                    revision=counted.revision,
                    release=releases[counted.revision],
                    weight=routes.weights.get(counted.revision, 0),
                    requests=counted.requests,
                    by_class=dict(counted.by_class),
                    failures=counted.failures,
                    in_flight=counted.in_flight,
                    latency_ms=dict(counted.latency_ms),
                )
                for counted in await self._router.traffic(scope)
                if counted.revision in releases
            ),
        )

    async def statistics(self) -> HostStatistics:
        """Return everything that is counted on this host."""
        return await self._counting.statistics()

    async def run_command(self, wanted: wire.CommandWanted) -> wire.CommandResult:
        """Run a command once, or tell how it ended."""
        return await self._commands.run(wanted)

    async def restart_router(self) -> wire.RouterRestarted:
        """Replace the router's process by a fresh one that obeys what every scope wants."""
        await reached("agent.restart.before")
        found = await self._router.restart()
        await reached("agent.restart.inside")
        await self._routing.reconcile(force=True)
        await reached("agent.restart.after")
        return wire.RouterRestarted(
            epoch=found.epoch, took_ms=round(found.took_s * 1000, 3), version=found.version
        )

    async def access_log(self, wanted: wire.AccessLogWanted) -> None:
        """Switch the access log of a scope on or off."""
        await self._access_logs.switch(wanted)

    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        """Remove what a scope needs no longer."""
        return await self._pruning.prune(wanted)

    async def logs(self, wanted: wire.LogsWanted) -> wire.LogPage:
        """Return log lines of a revision."""
        return await logpages.page(self._layout, wanted)

    async def halt(self) -> None:
        """End the router, the origin, every instance and every command.

        The next agent starts them again, but for the commands: none is begun twice.
        """
        await self._upkeep.rest()
        await self._router.stop()
        await self._origin.stop()
        await asyncio.gather(self._instances.halt(), self._commands.halt())

    def _places(self, scope: str, revision: str) -> list[Place]:
        return places.of(self._instances, self._trees, self._origin, scope, revision)

    def _through_router(
        self, scope: str, revision: str, question: Question
    ) -> list[tuple[str, Question]]:
        routes = self._routing.wanted(scope)
        release = next(
            (r.release for r in (routes.revisions if routes else ()) if r.revision == revision),
            None,
        )
        if routes is None or release is None:
            return []
        address = places.reachable(self._http)
        host = routes.domains[0] if routes.domains else address
        place = Place(address, None, {places.RELEASE_HEADER: release})
        return [(address, place.carrying(question, host))]

    async def _with_log(
        self, result: wire.ProbeResult, scope: str, revision: str
    ) -> wire.ProbeResult:
        if result.verdict == "good":
            return result
        tail = await asyncio.to_thread(logpages.tail, self._layout, scope, revision, TAIL)
        return result.model_copy(update={"log_tail": tail})


def _binary_fact(binary: binaries.Binary) -> wire.BinaryFact:
    return wire.BinaryFact(
        name=binary.name,
        path=str(binary.path or ""),
        version=binary.version,
        reason=binary.reason,
        problem=binary.problem,
        next_step=binary.next_step,
    )


def _memory_free() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil  # only where there is no /proc; it would cost memory elsewhere

    return int(psutil.virtual_memory().available)
