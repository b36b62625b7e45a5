"""The files that tell Envoy what to do, and changes of them that count only when it says so.

Files acknowledge nothing, so every change is looked for on the admin socket: clusters are
added and warm before a route leads to them, routes change by one rename, and clusters and the
last address of a cluster go only after the last route has left them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.base.errors import Failed, Unreachable
from turnout.routers.envoy_admin import Admin
from turnout.routers.envoy_bootstrap import ROUTES_NAME, STAT_PREFIX
from turnout.routers.envoy_clusters import clusters
from turnout.routers.envoy_endpoints import EndpointFiles, backends, choose, room
from turnout.routers.envoy_files import Resource, ResourceFile, version_of
from turnout.routers.envoy_routes import routes
from turnout.routers.port import Backend, Site
from turnout.routers.processes import last_lines

ACKNOWLEDGE_TIMEOUT_S = 10.0
# A process that finishes requests after a hot restart reads the same files but says nothing.
_SILENT_S = 0.05
_POLL_S = 0.002
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


class Changes:
    """The wanted state of one Envoy, in files that it watches.

    Args:
        state_dir: Where the files stand.
        admin: Whom to ask what is active.
        log: Envoy's log, for what it refuses.
        silent: Whether another process obeys the same files, which cannot be asked.
    """

    def __init__(
        self, state_dir: Path, admin: Admin, log: Path, silent: Callable[[], bool]
    ) -> None:
        self.admin = admin
        self.clusters = ResourceFile(state_dir / "clusters.json")
        self.routes = ResourceFile(state_dir / "routes.json")
        self.endpoints = EndpointFiles(state_dir / "endpoints")
        self._log = log
        self._silent = silent

    @property
    def version(self) -> str:
        """The version of the routes."""
        return self.routes.version

    def names(self) -> list[str]:
        """Return the names of all clusters, those for copies aside."""
        names = (str(resource["name"]) for resource in self.clusters.read())
        return [name for name in names if name.count("/") == 2]

    def in_file(self) -> set[str]:
        """Return the names of the clusters whose addresses stand in files of their own."""
        return {
            str(one["eds_cluster_config"]["service_name"])
            for one in self.clusters.read()
            if one.get("type") == "EDS"
        }

    def restore(self) -> None:
        """Make every file hold something that Envoy can start with."""
        if not self.routes.read():
            self.clusters.write([])
            self.routes.write([routes([])])
        else:
            self.clusters.write(self.clusters.read())
        for name in self.in_file():
            self.endpoints.restore(name, self.endpoints.read(name))

    async def change(self, sites: Sequence[Site]) -> None:
        """Make *sites* the state; return when new requests obey it.

        Raises:
            Failed: Envoy refused it or did not acknowledge in time; the old state stays.
        """
        by_name = backends(sites)
        have = self.in_file()
        dynamic = choose(by_name, have, room())
        before, routes_before = self.clusters.read(), self.routes.read()
        known = {str(resource["name"]): resource for resource in before}
        wanted = clusters(sites, dynamic, self.endpoints.path, known)
        endpoints_before = {name: self.endpoints.read(name) for name in have}
        try:
            # Who is left without an instance loses the last one after the routes.
            early = {name for name in dynamic if name not in have or _open(by_name[name])}
            await self._set_endpoints(by_name, early, have)
            await self._set(self.clusters, list({**known, **wanted}.values()))
            await self._set(self.routes, [routes(sites)])
            await self._set_endpoints(by_name, dynamic - early, have)
            await self._set(self.clusters, list(wanted.values()))
        except BaseException as error:
            # A caller that was told of no success, or that went away, finds the state before.
            self.routes.write(routes_before)
            self.clusters.write(before)
            for name, resources in endpoints_before.items():
                self.endpoints.restore(name, resources)
            if isinstance(error, Unreachable):
                raise self._refused(str(error)) from error
            raise
        self.endpoints.keep(dynamic)

    async def acknowledged(self, rejected: int = -1, endpoints: Collection[str] = ()) -> None:
        """Wait until Envoy says that all is active and every cluster is warm.

        Args:
            rejected: How many updates had been refused before; -1 to ignore refusals.
            endpoints: Clusters whose endpoints shall be active too.

        Raises:
            Failed: It refused an update, or said nothing in time.
        """
        deadline = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        wanted = self._versions(endpoints)
        pattern = "|".join((_WATCHED, *(f"^{re.escape(name)}$" for name in wanted)))
        while True:
            stats = await self.admin.stats(pattern)
            active = all(stats.get(name) == version for name, version in wanted.items())
            if active and stats.get(_WARMING) == 0:
                break
            if rejected >= 0 and _rejections(stats) > rejected:
                raise self._refused("it refused the change: " + last_lines(self._log, 800))
            if time.monotonic() >= deadline:
                raise self._refused("it did not take up the change in time")
            await asyncio.sleep(_POLL_S)
        if self._silent():
            await asyncio.sleep(_SILENT_S)

    def _versions(self, endpoints: Collection[str]) -> dict[str, str]:
        return {
            f"{_CDS}.version_text": self.clusters.version,
            f"{_RDS}.version_text": self.routes.version,
            **{f"cluster.{name}.version_text": self.endpoints.version(name) for name in endpoints},
        }

    async def _set_endpoints(
        self, by_name: Mapping[str, Backend], names: Collection[str], have: Collection[str]
    ) -> None:
        """Write the endpoints of *names*; Envoy looks for those in *have* already."""
        changed = [name for name in sorted(names) if self.endpoints.write(name, by_name[name])]
        watched = [name for name in changed if name in have]
        if watched:
            await self.acknowledged(endpoints=watched)

    async def _set(self, file: ResourceFile, resources: list[Resource]) -> None:
        ordered = sorted(resources, key=lambda resource: str(resource["name"]))
        version = version_of(ordered)
        if version == file.version:
            return
        rejected = _rejections(await self.admin.stats(_WATCHED))
        file.write(ordered, version)
        await self.acknowledged(rejected)

    def _refused(self, why: str) -> Failed:
        return Failed(
            "The router did not take the change",
            subject=str(self.clusters.path.parent),
            why=why,
            next_step=f"The state before stays. See {self._log}.",
        )


def _open(backend: Backend) -> bool:
    return any(address not in backend.draining for address in backend.addresses)


def _rejections(stats: Mapping[str, Any]) -> int:
    return sum(int(stats.get(f"{kind}.update_rejected", 0)) for kind in (_CDS, _RDS))
