"""A host in memory that keeps the promises of a real one, and fails when a test wants it to.

It verifies packages as a real agent does, but runs nothing: an instance is healthy unless the
test says otherwise in :attr:`FakeHost.verdicts`.
"""

from __future__ import annotations

import asyncio
import base64
import builtins
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

from tests.fakes.traffic import MadeUp
from turnout.base.errors import Conflict, InvalidInput, NotFound, TurnoutError, Unreachable
from turnout.packages.manifest import Manifest, parse
from turnout.packages.package import PackageReader
from turnout.targets.port import Host
from turnout.wire import agent as wire
from turnout.wire.statistics import HostStatistics, InstanceUsage

Key = tuple[str, str]  # scope, revision


class FakeHost(Host):
    """One machine without a machine.

    Attributes:
        calls: Every method that was called, in order.
        verdicts: What :meth:`await_ready` and :meth:`probe` answer for a revision.
        counted: What :meth:`traffic` says of a revision beside its weight.
        under_way: Requests that :meth:`drain` finds at its deadline.
        made_up: The live traffic that :meth:`statistics` tells of.
        results: What a command ends with, by its first word; 0 where nothing is said.
        commands: What commands ended with, by their id: each ran once.
        logged: Scopes whose requests are logged.
        draining: Instances that get no new requests.
        waiting: Instances that were not ready since they started.
    """

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self.calls: list[str] = []
        self.verdicts: dict[str, wire.ProbeResult] = {}
        self.counted: dict[str, dict[str, object]] = {}
        self.under_way: dict[str, int] = {}
        self.made_up = MadeUp()
        self.results: dict[str, wire.CommandResult] = {}
        self.commands: dict[str, wire.CommandResult] = {}
        self._ran: dict[tuple[str, str], wire.CommandWanted] = {}
        self.logged: set[str] = set()
        self.draining: set[tuple[str, str, int]] = set()
        self.waiting: set[tuple[str, str, int]] = set()
        self._epoch = 0
        self.releases: dict[str, Manifest] = {}
        self.claims: defaultdict[str, set[str]] = defaultdict(set)
        self.sites: dict[Key, wire.SiteWanted] = {}
        self.bridges: dict[str, tuple[str, ...]] = {}
        self.instances: dict[tuple[str, str, int], wire.InstanceWanted] = {}
        self.lines: defaultdict[Key, list[wire.LogLine]] = defaultdict(list)
        self.routes: dict[str, wire.RoutesWanted] = {}
        self._failures: defaultdict[str, list[TurnoutError]] = defaultdict(list)
        self._version = 0
        self._written = asyncio.Condition()

    def fail(self, method: str, times: int = 1, error: TurnoutError | None = None) -> None:
        """Make the next *times* calls of *method* raise, by default as if nobody answered."""
        wanted = error or Unreachable("The host's agent does not answer", subject=self.name)
        self._failures[method] += [wanted] * times

    async def hello(self) -> wire.Hello:
        await self._called("hello")
        return wire.Hello(versions=(wire.VERSION,), host=self.name, agent="fake", pid=1)

    async def facts(self) -> wire.HostFacts:
        await self._called("facts")
        return wire.HostFacts(
            host=self.name,
            agent="fake",
            releases=tuple(sorted(self.releases)),
            instances=tuple(self._fact(wanted) for wanted in self.instances.values()),
            sites=tuple(
                wire.SiteFact(scope=s.scope, revision=s.revision, release=s.release)
                for s in self.sites.values()
            ),
            routes=tuple(
                wire.RouteFact(
                    scope=r.scope, weights=dict(r.weights), split=r.split, mirror=r.mirror
                )
                for r in self.routes.values()
            ),
            router_alive=True,
            origin_alive=True,
            disk_free_bytes=1 << 40,
            memory_free_bytes=1 << 33,
        )

    async def lacking(self, scope: str, manifest: bytes) -> tuple[str, ...]:
        await self._called("lacking")
        held = {digest for found in self.releases.values() for digest in found.sizes}
        return tuple(digest for digest in parse(manifest).sizes if digest not in held)

    async def stage(self, trust: wire.Trust, package: Path) -> wire.Staged:
        await self._called("stage")
        key = base64.b64decode(trust.environment_key)
        with package.open("rb") as stream:
            reader = PackageReader(stream, key, trust.public_key)
            manifest = reader.manifest()
            for _ in reader.segments():
                pass
            reader.finish()
        self.releases[manifest.release] = manifest
        self.claims[trust.scope].add(manifest.release)
        return wire.Staged(
            release=manifest.release,
            files=len(manifest.entries),
            bytes=manifest.bytes,
            reused_files=0,
            received_bytes=reader.bytes,
        )

    async def ensure_site(self, wanted: wire.SiteWanted) -> None:
        await self._called("ensure_site")
        self._require(wanted.release)
        self.sites[wanted.scope, wanted.revision] = wanted

    async def bridge(self, wanted: wire.BridgeWanted) -> None:
        await self._called("bridge")
        self.bridges[wanted.scope] = wanted.releases

    async def ensure_instance(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        await self._called("ensure_instance")
        self._require(wanted.release)
        key = (wanted.scope, wanted.revision, wanted.index)
        if self.instances.get(key) != wanted:
            self.waiting.add(key)
        self.instances[key] = wanted
        self.draining.discard(key)
        return self._fact(wanted)

    async def remove_instances(self, gone: wire.InstanceGone) -> None:
        await self._called("remove_instances")
        routes = self.routes.get(gone.scope)
        if gone.index is None and routes and routes.weights.get(gone.revision):
            raise Conflict(
                "The revision still takes traffic", subject=f"{gone.scope}/{gone.revision}"
            )
        self._drop(gone.scope, gone.revision, gone.index)

    async def await_ready(self, wanted: wire.ReadyWanted) -> wire.ProbeResult:
        await self._called("await_ready")
        result = self._verdict(wanted.scope, wanted.revision, wanted.index)
        if result.verdict == "good":
            admitted = self._keys(wanted.scope, wanted.revision, wanted.index)
            self.waiting -= admitted
            self.draining -= admitted
        return result

    async def probe(self, wanted: wire.ProbeWanted) -> wire.ProbeResult:
        await self._called("probe")
        return self._verdict(wanted.scope, wanted.revision)

    async def route(self, wanted: wire.RoutesWanted) -> wire.RoutesApplied:
        await self._called("route")
        if wanted.weights and sum(wanted.weights.values()) != 100:
            raise InvalidInput("The weights do not sum to 100", subject=wanted.scope)
        named = {route.revision for route in wanted.revisions}
        if set(wanted.weights) - named:
            raise InvalidInput("A weight names a revision that is not among the revisions")
        roles = [wanted.split.candidate, wanted.split.baseline] if wanted.split else []
        roles += [wanted.mirror.revision] if wanted.mirror else []
        if {role for role in roles if role} - named:
            raise InvalidInput("Who is split or copied to is not among the revisions")
        for route in wanted.revisions:
            if not self._exists(wanted.scope, route.revision):
                raise NotFound(
                    "Nothing of this revision is on the host",
                    subject=f"{wanted.scope}/{route.revision}",
                )
        self.routes[wanted.scope] = wanted
        self._version += 1
        return wire.RoutesApplied(version=str(self._version), took_ms=0.0)

    async def unroute(self, scope: str) -> None:
        await self._called("unroute")
        self.routes.pop(scope, None)

    async def halt(self) -> None:
        await self._called("halt")

    async def drain(self, wanted: wire.DrainWanted) -> wire.Drained:
        await self._called("drain")
        if wanted.index is not None:
            drained = self._keys(wanted.scope, wanted.revision, wanted.index)
            self.waiting -= drained
            self.draining |= drained
            if not drained:
                return wire.Drained(left=0)
        return wire.Drained(left=self.under_way.get(wanted.revision, 0))

    async def statistics(self) -> HostStatistics:
        await self._called("statistics")
        return HostStatistics(
            host=self.name,
            at=time.time(),
            counting_since="1",
            revisions=self.made_up.look(self.routes),
            instances=tuple(
                InstanceUsage(scope=scope, revision=revision, index=index, started_at=0.0)
                for scope, revision, index in self.instances
            ),
        )

    async def run_command(self, wanted: wire.CommandWanted) -> wire.CommandResult:
        await self._called("run_command")
        before = self._ran.get((wanted.scope, wanted.id))
        if before is None:
            self._require(wanted.release)
            result = self.results.get(wanted.command[0], wire.CommandResult(exit_code=0))
            self.commands[wanted.id] = result
            self._ran[wanted.scope, wanted.id] = wanted
        elif (before.release, before.command) != (wanted.release, wanted.command):
            raise Conflict("This id names another command", subject=f"{wanted.scope}/{wanted.id}")
        return self.commands[wanted.id]

    async def restart_router(self) -> wire.RouterRestarted:
        await self._called("restart_router")
        self._epoch += 1
        return wire.RouterRestarted(epoch=self._epoch, took_ms=0.0, version="fake")

    async def access_log(self, wanted: wire.AccessLogWanted) -> None:
        await self._called("access_log")
        (self.logged.add if wanted.on else self.logged.discard)(wanted.scope)

    async def traffic(self, scope: str) -> wire.TrafficReport:
        await self._called("traffic")
        routes = self.routes.get(scope)
        nothing: dict[str, object] = {
            "requests": 0,
            "by_class": {},
            "failures": 0,
            "in_flight": 0,
            "latency_ms": {},
        }
        return wire.TrafficReport(
            scope=scope,
            revisions=tuple(
                wire.Traffic.model_validate(
                    {
                        **nothing,
                        **self.counted.get(route.revision, {}),
                        "revision": route.revision,
                        "release": route.release,
                        "weight": routes.weights.get(route.revision, 0) if routes else 0,
                    }
                )
                for route in (routes.revisions if routes else ())
            ),
        )

    async def prune(self, wanted: wire.PruneWanted) -> wire.Pruned:
        await self._called("prune")
        scope = wanted.scope
        keep = set(wanted.revisions) | self._routed(scope)
        found = {key[1] for key in (*self.sites, *self.instances) if key[0] == scope}
        for revision in found - keep:
            self._drop(scope, revision, None)
            self.lines.pop((scope, revision), None)
        for key, ran in list(self._ran.items()):
            if key[0] == scope and ran.revision not in keep:
                del self._ran[key]
        if not keep and not wanted.releases:
            self.logged.discard(scope)
        self.claims[scope] &= set(wanted.releases)
        needed = {release for claim in self.claims.values() for release in claim}
        needed |= {w.release for w in (*self.sites.values(), *self.instances.values())}
        needed |= {r.release for routes in self.routes.values() for r in routes.revisions}
        gone = sorted(set(self.releases) - needed)
        for release in gone:
            del self.releases[release]
        return wire.Pruned(releases=tuple(gone), revisions=tuple(sorted(found - keep)))

    async def logs(self, wanted: wire.LogsWanted) -> wire.LogPage:
        await self._called("logs")
        lines = self.lines[wanted.scope, wanted.revision]
        if wanted.cursor and not wanted.cursor.isdigit():
            raise InvalidInput("This is no cursor of a log", subject=wanted.cursor[:80])
        start = int(wanted.cursor) if wanted.cursor else max(0, len(lines) - wanted.tail)
        try:
            async with asyncio.timeout(wanted.wait), self._written:
                await self._written.wait_for(lambda: len(lines) > start)
        except TimeoutError:
            pass
        return wire.LogPage(lines=tuple(lines[start:]), cursor=str(len(lines)))

    async def follow_logs(self, wanted: wire.LogsWanted) -> AsyncIterator[wire.LogLine]:
        while True:
            page = await self.logs(wanted)
            for line in page.lines:
                yield line
            wanted = wanted.model_copy(update={"cursor": page.cursor, "wait": 20.0})

    def serving(self, scope: str, revision: str) -> builtins.set[int]:
        """Return the instances of a revision that new requests would reach if it is routed."""
        found = self._keys(scope, revision)
        known = found - self.waiting
        return {index for _, _, index in (known or found) - self.draining}

    async def write(self, scope: str, revision: str, text: str, index: int = 0) -> None:
        """Let an instance write a line."""
        at = float(len(self.lines[scope, revision]))
        line = wire.LogLine(
            at=at, scope=scope, revision=revision, index=index, stream="out", text=text
        )
        async with self._written:
            self.lines[scope, revision].append(line)
            self._written.notify_all()

    async def _called(self, method: str) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        if self._failures[method]:
            raise self._failures[method].pop(0)

    def _require(self, release: str) -> None:
        if release not in self.releases:
            raise NotFound("The release is not on this host", subject=release)

    def _exists(self, scope: str, revision: str) -> bool:
        return any(key[:2] == (scope, revision) for key in (*self.sites, *self.instances))

    def _routed(self, scope: str) -> builtins.set[str]:
        routes = self.routes.get(scope)
        return {route.revision for route in routes.revisions} if routes else set()

    def _drop(self, scope: str, revision: str, index: int | None) -> None:
        if index is None:
            self.sites.pop((scope, revision), None)
        for key in self._keys(scope, revision, index):
            del self.instances[key]
            self.draining.discard(key)
            self.waiting.discard(key)

    def _keys(
        self, scope: str, revision: str, index: int | None = None
    ) -> builtins.set[tuple[str, str, int]]:
        return {
            key
            for key in self.instances
            if key[:2] == (scope, revision) and index in (None, key[2])
        }

    def _verdict(self, scope: str, revision: str, index: int | None = None) -> wire.ProbeResult:
        there = (
            self._exists(scope, revision)
            if index is None
            else bool(self._keys(scope, revision, index))
        )
        if not there:
            return wire.ProbeResult(verdict="unknown", reason="nothing of it is here", attempts=0)
        good = wire.ProbeResult(verdict="good", status=200, latency_ms=1.0)
        return self.verdicts.get(revision, good)

    def _fact(self, wanted: wire.InstanceWanted) -> wire.InstanceFact:
        number = list(self.instances).index((wanted.scope, wanted.revision, wanted.index))
        return wire.InstanceFact(
            scope=wanted.scope,
            revision=wanted.revision,
            release=wanted.release,
            index=wanted.index,
            address=f"127.0.0.1:{20000 + number}",
            state="running",
            pid=1000 + number,
            started_at=0.0,
            draining=(wanted.scope, wanted.revision, wanted.index) in self.draining,
        )
