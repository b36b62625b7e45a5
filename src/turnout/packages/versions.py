"""The highest version of a placement that a host accepted, by environment: no way back by replay."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turnout.base.errors import Failed, Untrusted
from turnout.base.ids import scope_of
from turnout.packages.disk import TEMPORARY, write_whole


class Seen:
    """Remembers versions on the disk.

    Args:
        directory: Made when the first version is recorded.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    @contextmanager
    def lock(self, scope: str) -> Iterator[None]:
        """Hold the version of *scope* from its check to its record."""
        with self._guard:
            lock = self._locks.setdefault(scope, threading.Lock())
        with lock:
            yield

    def check(self, scope: str, version: int, release: str) -> None:
        """Check that a placement is not older than one accepted before.

        Raises:
            Untrusted: It is, or it has the version of another release.
            Failed: The record is damaged.
        """
        highest, accepted = self.highest(scope)
        if version < highest or (version == highest and release != accepted):
            raise Untrusted(
                "A placement is older than one that this host accepted",
                subject=scope,
                why=f"version {version} of release {release[:12]} after version {highest}",
                next_step="Deploy or roll back again: that makes a placement with a new version.",
            )

    def highest(self, scope: str) -> tuple[int, str]:
        """Return the highest version accepted and its release; 0 and nothing before the first.

        Raises:
            Failed: The record is damaged.
        """
        path = self._path(scope)
        try:
            document = json.loads(path.read_bytes())
            return int(document["version"]), str(document["release"])
        except FileNotFoundError:
            return 0, ""
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(
                "The record of accepted versions is damaged",
                subject=str(path),
                next_step="Remove the file if you are sure that nobody replays old releases.",
            ) from error

    def record(self, scope: str, version: int, release: str) -> None:
        """Note an accepted placement; on the disk when this returns."""
        path = self._path(scope)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, [json.dumps({"version": version, "release": release}).encode()])

    def leftovers(self) -> list[Path]:
        """Return files that a crash left unfinished."""
        return list(self._directory.glob(f"*/{TEMPORARY}*"))

    def _path(self, scope: str) -> Path:
        project, _, environment = scope.partition("/")
        return self._directory / scope_of(project, environment)
