"""A router without a process: it keeps the wanted state and answers as a real one would route."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from turnout.base.errors import Failed
from turnout.routers.checks import check, preview_hosts
from turnout.routers.port import (
    Applied,
    Backend,
    BackendTraffic,
    Restarted,
    Router,
    Site,
    Statistics,
    Tester,
)
from turnout.wire.statistics import BOUNDS_MS


@dataclass
class FakeHost:
    """What outlives the router object, as the process and its files do.

    Attributes:
        under_way: Requests that do not end, by scope, revision and address.
        epoch: How many processes took over since the last start.
    """

    sites: tuple[Site, ...] = ()
    running: bool = False
    epoch: int = 0
    starts: int = 0
    newcomers: int = 0
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    under_way: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    history: list[tuple[Site, ...]] = field(default_factory=list)


class FakeRouter(Router):
    """A router in memory.

    Args:
        host: Shared by objects that stand for one agent before and after a restart.
    """

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host or FakeHost()
        self.refuse_with = ""

    async def start(self) -> None:
        if not self.host.running:
            self.host.epoch = 0
            self._count_anew()
        self.host.running = True

    async def apply(self, sites: Sequence[Site]) -> Applied:
        check(sites)
        began = time.perf_counter()
        if not self.host.running:
            raise Failed("The router does not run")
        if self.refuse_with:
            raise Failed("The router did not take the change", why=self.refuse_with)
        if tuple(sites) != self.host.sites:
            self.host.history.append(tuple(sites))
        self.host.sites = tuple(sites)
        version = hashlib.sha256(repr(self.host.sites).encode()).hexdigest()[:16]
        return Applied(version, time.perf_counter() - began)

    async def traffic(self, scope: str) -> list[BackendTraffic]:
        return [traffic for of, traffic in (await self.statistics()).backends if of == scope]

    async def statistics(self) -> Statistics:
        return Statistics(
            str(self.host.starts),
            tuple(
                (site.scope, self._counted(site.scope, backend.revision))
                for site in self.host.sites
                for backend in site.backends
            ),
        )

    async def restart(self) -> Restarted:
        if not self.host.running:
            raise Failed("The router was not restarted", why="it does not run")
        self.host.epoch += 1
        self._count_anew()
        return Restarted(self.host.epoch, 0.0, "0.0.0")

    async def wait_idle(
        self, scope: str, revision: str, deadline_s: float, address: str | None = None
    ) -> int:
        deadline = time.monotonic() + deadline_s
        while (left := self._left(scope, revision, address)) and time.monotonic() < deadline:  # noqa: ASYNC110 - polls like Envoy
            await asyncio.sleep(0.005)
        return left

    async def alive(self) -> bool:
        return self.host.running

    async def ended(self) -> None:
        while self.host.running:  # noqa: ASYNC110 - as where nobody tells
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self.host.running = False

    def ask(self, host: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return the status and the release that a request would get."""
        status, release, _ = self.visit(host, headers)
        return status, release

    def visit(self, host: str, headers: Mapping[str, str]) -> tuple[int, str, str]:
        """Return the status, the release and the cookie that a request would get."""
        for site in self.host.sites:
            previews = preview_hosts(site)
            if host in previews:
                return *self._serve(site, previews[host]), ""
        bare = host == "localhost" or host.replace(".", "").isdigit()
        found = next((s for s in self.host.sites if host in s.domains), None) or next(
            (s for s in self.host.sites if s.default and bare), None
        )
        return (404, "", "") if found is None else self._live(found, headers)

    def _live(self, site: Site, headers: Mapping[str, str]) -> tuple[int, str, str]:
        backends = {backend.revision: backend for backend in site.backends}
        wanted = headers.get("x-turnout-release", "")
        for backend in site.backends:
            if len(wanted) >= 12 and backend.release.startswith(wanted):
                return *self._serve(site, backend), ""
        split = site.split
        if split and split.candidate in backends and _tests(split.testers, headers):
            return *self._serve(site, backends[split.candidate]), ""
        if not any(site.weights.values()):
            return 503, "", ""
        if site.mirror is not None:
            self.host.requests[site.scope, site.mirror.revision] += 1
        given = ""
        slot = _slot(site, headers)
        if slot is None:
            # Each slot once in a hundred newcomers, in no order that could help.
            slot = self.host.newcomers * 37 % 100
            self.host.newcomers += 1
            if split and split.sticky and site.weights.get(split.candidate):
                given = f"turnout={split.candidate[:8]}.{slot}"
        return *self._serve(site, backends[_owner(site, slot)]), given

    def _serve(self, site: Site, backend: Backend) -> tuple[int, str]:
        self.host.requests[site.scope, backend.revision] += 1
        served = set(backend.addresses) - set(backend.draining)
        return (200, backend.release) if served else (503, "")

    def _counted(self, scope: str, revision: str) -> BackendTraffic:
        count = self.host.requests[scope, revision]
        return BackendTraffic(
            revision=revision,
            requests=count,
            by_class={"2xx": count, **dict.fromkeys(("3xx", "4xx", "5xx"), 0)},
            failures=0,
            in_flight=self._left(scope, revision, None),
            latency_ms={},
            latency=((BOUNDS_MS[0], count),) if count else (),
        )

    def _left(self, scope: str, revision: str, address: str | None) -> int:
        return sum(
            count
            for (of, by, at), count in self.host.under_way.items()
            if (of, by) == (scope, revision) and address in (None, at)
        )

    def _count_anew(self) -> None:
        self.host.starts += 1
        self.host.requests.clear()


def _owner(site: Site, slot: int) -> str:
    """Return the revision of a slot: the candidate has the first ones, the baseline the last."""
    split = site.split
    first, last = (split.candidate, split.baseline) if split else (None, None)
    order = sorted(site.weights, key=lambda r: (r != first, r == last, r if split else ""))
    for revision in order:
        slot -= site.weights[revision]
        if slot < 0:
            return revision
    raise AssertionError("weights sum to 100")


def _slot(site: Site, headers: Mapping[str, str]) -> int | None:
    split = site.split
    if split is None or not split.sticky or not site.weights.get(split.candidate):
        return None
    value = _cookies(headers).get("turnout", "")
    candidate, _, slot = value.partition(".")
    known = candidate == split.candidate[:8] and slot.isdecimal() and int(slot) < 100
    return int(slot) if known else None


def _tests(testers: Sequence[Tester], headers: Mapping[str, str]) -> bool:
    cookies = _cookies(headers)
    for tester in testers:
        found = headers.get(tester.header) if tester.header else cookies.get(tester.cookie or "")
        if found is not None and tester.value in (None, found):
            return True
    return False


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}
