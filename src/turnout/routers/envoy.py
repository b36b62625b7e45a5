"""A router that is one Envoy process, told what to do through files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from turnout.base.errors import Failed
from turnout.routers.checks import check
from turnout.routers.envoy_bootstrap import bootstrap
from turnout.routers.envoy_changes import Changes
from turnout.routers.envoy_clusters import MIRROR, cluster_name
from turnout.routers.envoy_command import admin_socket
from turnout.routers.envoy_logs import access_file
from turnout.routers.envoy_process import EnvoyProcess
from turnout.routers.envoy_stats import in_flight, in_flight_pattern, to_traffic, traffic_pattern
from turnout.routers.port import Applied, BackendTraffic, Restarted, Router, Site, Statistics

_IDLE_POLL_S = 0.02
_PREDECESSOR_CALM_S = 1.5


class EnvoyRouter(Router):
    """Envoy on one address of this host.

    Args:
        state_dir: Its own directory for configuration and logs; made if missing.
        run_dir: A directory with a short path for sockets and locks; made if missing.
        listen: Address and port that clients reach.
        binary: Which Envoy; by default the one that :func:`turnout.routers.programs.find` finds.
    """

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        listen: tuple[str, int],
        binary: Path | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._run_dir = run_dir
        config = bootstrap(
            listen,
            admin_socket(run_dir),
            state_dir / "clusters.json",
            state_dir / "routes.json",
            access_file(state_dir),
        )
        self._process = EnvoyProcess(state_dir, run_dir, config, binary)
        self._admin = self._process.admin
        self._changes = Changes(
            state_dir, self._admin, self._process.logs.process, self._process.draining
        )
        self._turn = asyncio.Lock()
        self._restarting = False

    @property
    def outdated(self) -> bool:
        """Whether the process was started with another configuration or version than today's.

        That is so after an upgrade: it serves on, and :meth:`restart` renews it.
        """
        return self._process.outdated()

    @property
    def access_log(self) -> Path:
        """The file of requests of those sites that ask for it, a JSON object a line."""
        return self._process.logs.access

    async def start(self) -> None:
        async with self._turn:
            for directory in (self._state_dir, self._run_dir):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._process.running() and not self._changes.routes.path.exists():
                # Somebody removed the data under it, and it watches files that are gone.
                await self._process.end()
            if not self._process.running():
                self._changes.restore()
            await self._process.ensure()
            await self._changes.acknowledged()

    async def apply(self, sites: Sequence[Site]) -> Applied:
        check(sites)
        async with self._turn:
            began = time.perf_counter()
            if not self._process.running():
                raise Failed(
                    "The router does not run",
                    subject=str(self._run_dir),
                    next_step="Start it; it takes up the state that it was last given.",
                )
            await self._changes.change(sites)
            took_s = time.perf_counter() - began
            await self._process.logs.trim()
            return Applied(version=self._changes.version, took_s=took_s)

    async def traffic(self, scope: str) -> list[BackendTraffic]:
        counted = await self._counted(f"{scope}/")
        return [traffic for _, traffic in counted]

    async def statistics(self) -> Statistics:
        await self._settled()
        note = self._process.note()
        counted = await self._counted("")
        return Statistics(note.since if note else "", tuple(counted))

    async def restart(self) -> Restarted:
        async with self._turn:
            began = time.perf_counter()
            self._restarting = True
            try:
                note = await self._process.renew()
                took_s = time.perf_counter() - began
                await self._changes.acknowledged()
            finally:
                self._restarting = False
            return Restarted(epoch=note.epoch, took_s=took_s, version=note.version)

    async def wait_idle(
        self, scope: str, revision: str, deadline_s: float, address: str | None = None
    ) -> int:
        name = cluster_name(scope, revision)
        deadline = time.monotonic() + deadline_s
        quiet_since: float | None = None
        while True:
            left = await self._under_way(name, address)
            now = time.monotonic()
            quiet_since = None if left else now if quiet_since is None else quiet_since
            if now >= deadline or (quiet_since is not None and now >= quiet_since + self._calm_s()):
                return left
            await asyncio.sleep(_IDLE_POLL_S)

    async def alive(self) -> bool:
        if self._restarting:
            return self._process.running()
        if not (self._process.running() and await self._admin.live()):
            return False
        await self._process.logs.trim()
        return True

    async def ended(self) -> None:
        await self._process.ended()

    async def stop(self) -> None:
        async with self._turn:
            await self._process.end()

    async def _counted(self, prefix: str) -> list[tuple[str, BackendTraffic]]:
        await self._settled()
        names = [name for name in self._changes.names() if name.startswith(prefix)]
        stats = await self._admin.stats(traffic_pattern(prefix))
        return [
            (scope, to_traffic(stats, scope, revision))
            for scope, _, revision in (name.rpartition("/") for name in names)
        ]

    async def _settled(self) -> None:
        """Wait for a restart under way: meanwhile neither process answers for both."""
        if self._restarting:
            async with self._turn:
                pass

    def _calm_s(self) -> float:
        """Return for how long nothing must be seen before nothing is there.

        A worker may have chosen a cluster just before it saw the new routes; the next look sees
        its request.  A predecessor of this process tells what it has under way once a second.
        """
        return _PREDECESSOR_CALM_S if self._process.draining() else _IDLE_POLL_S

    async def _under_way(self, name: str, address: str | None) -> int:
        """Return the requests under way in a cluster, or at one of its addresses.

        Counts of an address live as long as the cluster that it belongs to.  So where a change
        of addresses replaces the cluster, and for what a predecessor of this process still has
        under way, the cluster's count stands in: it is never too low.
        """
        await self._settled()
        everything = in_flight(await self._admin.stats(in_flight_pattern(name)), name)
        if address is None or everything == 0:
            return everything
        known = await self._admin.active_requests((name, f"{name}/{MIRROR}"))
        here = known.get(address, 0)
        if self._process.draining() or name not in self._changes.in_file():
            return here + max(0, everything - sum(known.values()))
        return here
