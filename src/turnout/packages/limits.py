"""Limits: how much a release may hold before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The bounds of one release.

    Attributes:
        files: Entries of a manifest, links included.
        total_bytes: The sizes of all files together.
        file_bytes: The size of one file.
        path_bytes: A path in UTF-8.  Linux allows 4,096 for the whole of it, and the release
            tree and a project's own nesting need room for theirs.
        name_bytes: One component of a path: 255 on every common file system, less the 16 of
            ``.br.turnout-made``, which stands beside a file of a static site.
        manifest_bytes: A manifest in canonical form.
    """

    files: int = 200_000
    total_bytes: int = 4 << 30
    file_bytes: int = 2 << 30
    path_bytes: int = 1024
    name_bytes: int = 239
    manifest_bytes: int = 64 << 20


DEFAULT = Limits()
