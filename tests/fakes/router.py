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
from turnout.routers.port import Applied, Backend, BackendTraffic, Router, Site


@dataclass
class FakeHost:
    """What outlives the router object, as the process and its files do."""

    sites: tuple[Site, ...] = ()
    running: bool = False
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    under_way: Counter[tuple[str, str]] = field(default_factory=Counter)
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
        return [
            BackendTraffic(
                revision=backend.revision,
                requests=self.host.requests[scope, backend.revision],
                by_class={
                    "2xx": self.host.requests[scope, backend.revision],
                    **dict.fromkeys(("3xx", "4xx", "5xx"), 0),
                },
                failures=0,
                in_flight=self.host.under_way[scope, backend.revision],
                latency_ms={},
            )
            for site in self.host.sites
            if site.scope == scope
            for backend in site.backends
        ]

    async def wait_idle(self, scope: str, revision: str, deadline_s: float) -> int:
        deadline = time.monotonic() + deadline_s
        while (left := self.host.under_way[scope, revision]) and time.monotonic() < deadline:  # noqa: ASYNC110 - polls like Envoy
            await asyncio.sleep(0.005)
        return left

    async def alive(self) -> bool:
        return self.host.running

    async def stop(self) -> None:
        self.host.running = False

    def ask(self, host: str, headers: Mapping[str, str]) -> tuple[int, str]:
        """Return the status and the release that a request would get."""
        for site in self.host.sites:
            previews = preview_hosts(site)
            if host in previews:
                return self._serve(site, previews[host])
        bare = host == "localhost" or host.replace(".", "").isdigit()
        site = next((s for s in self.host.sites if host in s.domains), None) or next(
            (s for s in self.host.sites if s.default and bare), None
        )
        if site is None:
            return 404, ""
        wanted = headers.get("x-turnout-release", "")
        for backend in site.backends:
            if len(wanted) >= 12 and backend.release.startswith(wanted):
                return self._serve(site, backend)
        for backend in site.backends:
            if site.weights.get(backend.revision):
                return self._serve(site, backend)
        return 503, ""

    def _serve(self, site: Site, backend: Backend) -> tuple[int, str]:
        self.host.requests[site.scope, backend.revision] += 1
        return (200, backend.release) if backend.addresses else (503, "")
