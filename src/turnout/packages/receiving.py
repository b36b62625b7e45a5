"""Receiving: what a package brings and what is held already become a tree, verified to the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from turnout.packages import host_index
from turnout.packages.buffers import uncollected
from turnout.packages.disk import write_whole
from turnout.packages.host_index import HostIndex
from turnout.packages.manifest import Manifest
from turnout.packages.package import PackageReader
from turnout.packages.pipeline import in_any_order
from turnout.packages.segments import Segment
from turnout.packages.unpacking import Unpacking

_WORKERS, _UNDER_WAY = 3, 4
"""Threads behind the reader, and segments, packed while they wait, at one time."""


def unpack(
    reader: PackageReader,
    manifest: Manifest,
    segments: Iterable[Segment],
    held: Iterable[HostIndex],
    place: Path,
) -> int:
    """Write the tree of a release, its manifest and its index to *place*.

    Args:
        reader: Of the package, which is read to its end.
        manifest: The package's.
        segments: The package's.
        held: Releases that are here, from which comes what the package lacks.
        place: An empty directory where nobody looks.

    Returns:
        How many files came from releases that are here.

    Raises:
        Untrusted: The package is not what it should be, or lacks a file that is not here either.
    """
    tree = place / "tree"
    tree.mkdir(mode=0o755)
    tree.chmod(0o755)
    with uncollected():
        unpacking = Unpacking(tree, manifest, reader.files)
    try:
        in_any_order(unpacking.take, segments, _WORKERS, _UNDER_WAY)
        # What the package brought is never taken from here: it may be to replace damage.
        for index in held:
            if not unpacking.lacking():
                break
            unpacking.link(index)
        reader.finish()
        unpacking.finish()
    finally:
        unpacking.close()
    write_whole(place / "manifest", [manifest.canonical], 0o644)
    write_whole(place / host_index.NAME, [unpacking.rows.encode()], 0o644)
    return unpacking.reused_files
