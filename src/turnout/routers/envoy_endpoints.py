"""The addresses of clusters in files of their own, one a cluster.

Envoy keeps what it knows of an instance (requests under way, ejections) over a change of such
a file.  It needs an inotify instance for each, of which a user has 128 by default and without
which it ends; so only server apps get one, and only a quarter of what the user may have, for
two processes run during a hot restart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.routers.envoy_files import ResourceFile
from turnout.routers.port import Backend, Site

_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_FEW, _MANY = 32, 256


def assignment(name: str, backend: Backend) -> dict[str, Any]:
    """Return the instances of *backend* as the endpoints of the cluster *name*."""
    endpoints = []
    for address in backend.addresses:
        endpoint: dict[str, Any] = {"endpoint": {"address": _address(address)}}
        if address in backend.draining:
            endpoint["health_status"] = "DRAINING"
        endpoints.append(endpoint)
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def backends(sites: Sequence[Site]) -> dict[str, Backend]:
    """Return cluster name to backend for every backend of *sites*."""
    return {f"{site.scope}/{one.revision}": one for site in sites for one in site.backends}


def choose(wanted: Mapping[str, Backend], have: Collection[str], limit: int) -> set[str]:
    """Return the clusters whose addresses stand in a file: those of apps, while there is room.

    Args:
        wanted: Cluster name to backend.
        have: Clusters that have such a file; they keep it, for a change replaces the cluster.
        limit: How many there may be.
    """
    apps = [name for name, backend in wanted.items() if backend.site is None]
    kept = [name for name in apps if name in have]
    return set([*kept, *(name for name in apps if name not in have)][: max(limit, len(kept))])


def room() -> int:
    """Return how many files of endpoints this user's Envoy may watch."""
    try:
        return min(_MANY, int(_LIMIT.read_text()) // 4)
    except (OSError, ValueError):
        return _FEW


class EndpointFiles:
    """The files of all clusters that have one.

    Args:
        directory: Where they stand; made if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[str, ResourceFile] = {}

    def path(self, name: str) -> Path:
        """Return the file of the cluster *name*."""
        return self._directory / f"{name.replace('/', '+')}.json"

    def version(self, name: str) -> str:
        """Return the version of what the file of *name* holds."""
        return self._file(name).version

    def read(self, name: str) -> list[Any]:
        """Return what the file of *name* holds, for :meth:`restore`."""
        return list(self._file(name).read())

    def write(self, name: str, backend: Backend) -> bool:
        """Make the file of *name* hold the instances of *backend*; return whether it changed."""
        return self.restore(name, [{"@type": _ASSIGNMENT, **assignment(name, backend)}])

    def restore(self, name: str, resources: list[Any]) -> bool:
        """Make the file of *name* hold *resources*; return whether it changed."""
        if not resources:
            # Envoy refuses a cluster without a file, and a file without an entry.
            empty = {"cluster_name": name, "endpoints": []}
            resources = [{"@type": _ASSIGNMENT, **empty}]
        file = self._file(name)
        if file.path.exists() and list(file.read()) == resources:
            return False
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write(resources)
        return True

    def keep(self, names: Iterable[str]) -> None:
        """Remove every file but those of *names*."""
        wanted = {self.path(name).name for name in names}
        for path in self._directory.glob("*.json"):
            if path.name not in wanted:
                with contextlib.suppress(OSError):
                    path.unlink()
        self._files = {n: file for n, file in self._files.items() if file.path.name in wanted}

    def _file(self, name: str) -> ResourceFile:
        return self._files.setdefault(name, ResourceFile(self.path(name)))


def _address(address: str) -> dict[str, Any]:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return {"socket_address": {"address": host, "port_value": int(port)}}
