"""Reuse: what of a release is here already, in releases that the host holds."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from turnout.base.errors import TurnoutError
from turnout.packages.hashing import READ
from turnout.packages.host_index import HostIndex, Rows
from turnout.packages.manifest import LINK, Manifest
from turnout.packages.walking import Descent


def choose(
    rows: Rows,
    needed: Collection[tuple[bytes, int]],
    wanted: set[bytes],
    damaged: Collection[int] = (),
) -> list[int]:
    """Return rows with the digests *wanted* that one held release has, each digest once.

    Nothing is looked at but the index: whoever takes a file checks it.

    Args:
        rows: Of the held release.
        needed: Digest and mode of every file of the new one: a file with the mode that is
            needed can be linked, another must be copied.
        wanted: Digests.
        damaged: Rows that turned out to be damaged.

    Returns:
        Row numbers, in the order of their paths.
    """
    chosen: dict[bytes, int] = {}
    for row, digest in enumerate(rows.digests):
        if digest not in wanted or row in damaged:
            continue
        before = chosen.setdefault(digest, row)
        if before != row and (digest, rows.modes[before]) not in needed:
            chosen[digest] = row
    return sorted(chosen.values())


def find_verified(indexes: Iterable[HostIndex], wanted: set[bytes]) -> set[bytes]:
    """Return which of *wanted* are here and unharmed, looking at each file."""
    left = set(wanted)
    for index in indexes:
        if not left:
            break
        rows = index.rows
        with Descent(index.release / "tree") as descent:
            for row, digest in enumerate(rows.digests):
                if digest in left and _unharmed(descent, rows, row):
                    left.discard(digest)
    return wanted - left


def is_whole(release: Path, manifest: Manifest) -> bool:
    """Return whether a held release is just what *manifest* says, with nothing touched since.

    No content is read: a file whose inode, size, time and mode are those of its unpacking
    counts as untouched, as everywhere on a host.

    Args:
        release: The directory of the release; it need not exist.
        manifest: The release's, verified.
    """
    try:
        if (release / "manifest").read_bytes() != manifest.canonical:
            return False
        rows = HostIndex(release).rows
        links = _describes(rows, manifest)
        return links is not None and _is_untouched(release / "tree", rows, links)
    except (TurnoutError, OSError, UnicodeDecodeError):
        return False


def _describes(rows: Rows, manifest: Manifest) -> dict[str, str] | None:
    """Return path to target of the links of *manifest*; None if *rows* are not its files."""
    wanted = Rows.of(manifest)
    if (rows.paths, rows.digests, rows.modes) != (wanted.paths, wanted.digests, wanted.modes):
        return None
    columns = manifest.columns
    paths = [p for p, code in zip(columns.paths, columns.codes, strict=True) if code == LINK]
    return dict(zip(paths, columns.targets, strict=True))


def _is_untouched(tree: Path, rows: Rows, links: dict[str, str]) -> bool:
    files = {path: row for row, path in enumerate(rows.paths)}
    found = 0
    todo = [""]
    with Descent(tree) as descent:
        while todo:
            directory = todo.pop()
            prefix = directory + "/" if directory else ""
            handle = descent.enter(directory)
            with os.scandir(handle) as names:
                for item in names:
                    path = prefix + item.name
                    if item.is_dir(follow_symlinks=False):
                        todo.append(path)
                        continue
                    row = files.get(path)
                    if row is not None:
                        facts = item.stat(follow_symlinks=False)
                        kind = stat.S_IFREG | rows.mode(row)
                        if facts.st_mode != kind or not rows.untouched(row, facts):
                            return False
                    elif os.readlink(item.name, dir_fd=handle) != links.get(path):
                        return False
                    found += 1
    return found == len(files) + len(links)


def _unharmed(descent: Descent, rows: Rows, row: int) -> bool:
    try:
        directory, name = descent.locate(rows.paths[row])
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if rows.untouched(row, facts):
            return True
        handle = os.open(name, READ, dir_fd=directory)
    except OSError:
        return False
    try:
        with open(handle, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").digest() == rows.digests[row]
    except OSError:
        return False
    finally:
        os.close(handle)
