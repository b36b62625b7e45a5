"""Open manifests: what was announced by an upload and is not committed yet, on disk.

Kept in files, so that neither many uploads at once nor a restart of the server matter; where one
was lost all the same, the client opens its upload again, which costs it one request.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from turnout.base.errors import Conflict, Exhausted
from turnout.packages.manifest import Manifest, parse

_KEPT_FOR_S = 24 * 3600.0
_MOST = 256
"""Open uploads of a server; the oldest give way."""


class OpenManifests:
    """The manifests of open uploads.

    Args:
        directory: Where they are kept; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._prune()

    def keep(self, project: str, manifest: Manifest) -> None:
        """Keep *manifest* until it is committed, or for a day.

        Raises:
            Exhausted: The disk is full.
        """
        self._prune()
        target = self._path(project, manifest.release)
        passing = target.with_name(f"{secrets.token_hex(8)}.new")
        try:
            descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(manifest.canonical)
            passing.replace(target)
        except OSError as error:
            passing.unlink(missing_ok=True)
            raise Exhausted(
                "The manifest could not be kept",
                why=error.strerror or str(error),
                next_step="Free disk space on the server, then upload again.",
            ) from error

    def get(self, project: str, release: str) -> Manifest:
        """Return the manifest of an open upload.

        Raises:
            Conflict: There is no such upload, or its manifest was damaged.
        """
        try:
            manifest = parse(self._path(project, release).read_bytes())
        except FileNotFoundError:
            manifest = None
        if manifest is None or manifest.release != release:
            raise _not_open(release)
        return manifest

    def require(self, project: str, release: str) -> None:
        """Check that an upload is open, without reading its manifest.

        Raises:
            Conflict: It is not.
        """
        if not self.holds(project, release):
            raise _not_open(release)

    def holds(self, project: str, release: str) -> bool:
        """Return whether an upload is open."""
        return self._path(project, release).is_file()

    def forget(self, project: str, release: str) -> None:
        """Drop a manifest that is no longer needed."""
        self._path(project, release).unlink(missing_ok=True)

    def _path(self, project: str, release: str) -> Path:
        return self._directory / f"{project}.{release}.manifest"

    def _prune(self) -> None:
        found = []
        for path in self._directory.iterdir():
            try:
                found.append((path.stat().st_mtime, path))
            except FileNotFoundError:
                continue
        found.sort(reverse=True)
        oldest = time.time() - _KEPT_FOR_S
        for place, (at, path) in enumerate(found):
            if place >= _MOST or at < oldest:
                path.unlink(missing_ok=True)


def _not_open(release: str) -> Conflict:
    return Conflict(
        "There is no open upload of this release",
        subject=release[:12],
        next_step="Send its manifest again, then what is missing, then commit.",
    )
