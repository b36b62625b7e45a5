"""A router that is one Envoy process, told what to do through two files.

Files acknowledge nothing, so every change is looked for on the admin socket: clusters are
added and warm before a route leads to them, routes change by one rename, and clusters go only
after the last route has left them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnout.base.errors import Failed, Unreachable
from turnout.routers.checks import check
from turnout.routers.envoy_bootstrap import ROUTES_NAME, STAT_PREFIX, bootstrap
from turnout.routers.envoy_clusters import cluster_name, clusters
from turnout.routers.envoy_files import Resource, ResourceFile, version_of
from turnout.routers.envoy_process import EnvoyProcess, admin_socket
from turnout.routers.envoy_routes import routes
from turnout.routers.envoy_stats import in_flight, in_flight_pattern, to_traffic, traffic_pattern
from turnout.routers.port import Applied, BackendTraffic, Router, Site
from turnout.routers.processes import last_lines

ACKNOWLEDGE_TIMEOUT_S = 10.0
_POLL_S = 0.002
_IDLE_POLL_S = 0.02
_CDS = "cluster_manager.cds"
_RDS = f"http.{STAT_PREFIX}.rds.{ROUTES_NAME}"
_WARMING = "cluster_manager.warming_clusters"
_WATCHED = "|".join(
    f"^{re.escape(name)}$"
    for name in (
        *(
            f"{kind}.{stat}"
            for kind in (_CDS, _RDS)
            for stat in ("version_text", "update_rejected")
        ),
        _WARMING,
    )
)


class EnvoyRouter(Router):
    """Envoy on one address of this host.

    Args:
        state_dir: Its own directory for configuration and log; made if missing.
        run_dir: A directory with a short path for sockets and the lock; made if missing.
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
        self._clusters = ResourceFile(state_dir / "clusters.json")
        self._routes = ResourceFile(state_dir / "routes.json")
        config = bootstrap(listen, admin_socket(run_dir), self._clusters.path, self._routes.path)
        self._process = EnvoyProcess(state_dir, run_dir, config, binary)
        self._admin = self._process.admin
        self._turn = asyncio.Lock()

    @property
    def outdated(self) -> bool:
        """Whether the process was started with another configuration than today's.

        That is so after an upgrade: it serves on, and a restart at a quiet moment renews it.
        """
        return self._process.outdated()

    async def start(self) -> None:
        async with self._turn:
            for directory in (self._state_dir, self._run_dir):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._process.running() and not self._routes.path.exists():
                # Somebody removed the data under it, and it watches files that are gone.
                await self._process.end()
            if not self._process.running():
                self._restore_files()
            await self._process.ensure()
            await self._acknowledged(self._clusters.version, self._routes.version, rejected=-1)

    async def apply(self, sites: Sequence[Site]) -> Applied:
        check(sites)
        async with self._turn:
            began = time.perf_counter()
            await self._change(clusters(sites), [routes(sites)])
            took_s = time.perf_counter() - began
            await self._process.trim_log()
            return Applied(version=self._routes.version, took_s=took_s)

    async def traffic(self, scope: str) -> list[BackendTraffic]:
        stats = await self._admin.stats(traffic_pattern(f"{scope}/"))
        prefix = f"{scope}/"
        names = [str(resource["name"]) for resource in self._clusters.read()]
        return [
            to_traffic(stats, scope, name.removeprefix(prefix))
            for name in names
            if name.startswith(prefix)
        ]

    async def wait_idle(self, scope: str, revision: str, deadline_s: float) -> int:
        name = cluster_name(scope, revision)
        deadline = time.monotonic() + deadline_s
        quiet = 0
        while True:
            left = in_flight(await self._admin.stats(in_flight_pattern(name)), name)
            # A worker may have chosen this cluster just before it saw the new routes; its
            # request is counted by the second look.
            quiet = quiet + 1 if left == 0 else 0
            if quiet == 2 or time.monotonic() >= deadline:
                return left
            await asyncio.sleep(_IDLE_POLL_S)

    async def alive(self) -> bool:
        if not (self._process.running() and await self._admin.live()):
            return False
        await self._process.trim_log()
        return True

    async def stop(self) -> None:
        async with self._turn:
            await self._process.end()

    def _restore_files(self) -> None:
        """Make both files hold something that Envoy can start with."""
        if not self._routes.read():
            self._clusters.write([])
            self._routes.write([routes([])])
        else:
            self._clusters.write(self._clusters.read())

    async def _change(self, wanted: dict[str, Any], wanted_routes: list[Resource]) -> None:
        before, routes_before = self._clusters.read(), self._routes.read()
        if not self._process.running():
            raise Failed(
                "The router does not run",
                subject=str(self._run_dir),
                next_step="Start it; it takes up the state that it was last given.",
            )
        have = {str(resource["name"]): resource for resource in before}
        try:
            await self._set(self._clusters, list({**have, **wanted}.values()))
            await self._set(self._routes, wanted_routes)
            await self._set(self._clusters, list(wanted.values()))
        except BaseException as error:
            # A caller that was told of no success, or that went away, finds the state before.
            self._routes.write(routes_before)
            self._clusters.write(before)
            if isinstance(error, Unreachable):
                raise self._refused(str(error)) from error
            raise

    async def _set(self, file: ResourceFile, resources: list[Resource]) -> None:
        ordered = sorted(resources, key=lambda resource: str(resource["name"]))
        version = version_of(ordered)
        if version == file.version:
            return
        rejected = _rejections(await self._admin.stats(_WATCHED))
        file.write(ordered, version)
        await self._acknowledged(self._clusters.version, self._routes.version, rejected)

    async def _acknowledged(self, cds: str, rds: str, rejected: int) -> None:
        """Wait until Envoy says that both versions are active and every cluster is warm.

        Args:
            cds: The version of the clusters.
            rds: The version of the routes.
            rejected: How many updates had been refused before; -1 to ignore refusals.
        """
        deadline = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        while True:
            stats = await self._admin.stats(_WATCHED)
            active = (stats.get(f"{_CDS}.version_text"), stats.get(f"{_RDS}.version_text"))
            if active == (cds, rds) and stats.get(_WARMING) == 0:
                return
            if rejected >= 0 and _rejections(stats) > rejected:
                raise self._refused("it refused the change: " + last_lines(self._process.log, 800))
            if time.monotonic() >= deadline:
                raise self._refused("it did not take up the change in time")
            await asyncio.sleep(_POLL_S)

    def _refused(self, why: str) -> Failed:
        return Failed(
            "The router did not take the change",
            subject=str(self._state_dir),
            why=why,
            next_step=f"The state before stays. See {self._process.log}.",
        )


def _rejections(stats: dict[str, Any]) -> int:
    return sum(int(stats.get(f"{kind}.update_rejected", 0)) for kind in (_CDS, _RDS))
