"""The two files that tell a running Envoy its clusters and routes.

They are the router's memory too: what a new object over the same directory reads back is what
Envoy serves.  They are not flushed to the disk: after a power cut they may be gone or empty,
then the router starts with nothing and the agent gives it the wanted state again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnout.routers.files import replace_file

Resource = Mapping[str, Any]


class ResourceFile:
    """One file of resources in Envoy's discovery format.

    Args:
        path: The file; it is only ever replaced by renaming, which is what Envoy watches.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._resources: list[Resource] | None = None
        self._version = ""

    def read(self) -> list[Resource]:
        """Return its resources; none if it is missing or damaged."""
        if self._resources is None:
            self._resources = _load(self.path)
            self._version = version_of(self._resources)
        return self._resources

    @property
    def version(self) -> str:
        """The version of what it holds."""
        self.read()
        return self._version

    def write(self, resources: Sequence[Resource], version: str = "") -> str:
        """Replace its content at once and return the version.

        Args:
            resources: All of the new content.
            version: What :func:`version_of` says of it, if that is known already.
        """
        version = version or version_of(resources)
        document = {"version_info": version, "resources": list(resources)}
        replace_file(self.path, json.dumps(document, separators=(",", ":")).encode())
        self._resources, self._version = list(resources), version
        return version


def version_of(resources: Sequence[Resource]) -> str:
    """Return the version of *resources*: it is their content's digest, so it never lies."""
    canonical = json.dumps(list(resources), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _load(path: Path) -> list[Resource]:
    try:
        document = json.loads(path.read_bytes())
        resources = document["resources"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return resources if isinstance(resources, list) else []
