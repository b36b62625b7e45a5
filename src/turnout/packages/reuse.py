"""Reuse: which files of a new release are here already, in releases that the host holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable

from turnout.packages.hashing import READ
from turnout.packages.host_index import HostIndex, Rows
from turnout.packages.walking import Descent


def choose(rows: Rows, needed: Collection[tuple[bytes, int]], wanted: set[bytes]) -> list[int]:
    """Return rows with the digests *wanted* that one held release has, each digest once.

    Nothing is looked at but the index: whoever takes a file checks it.

    Args:
        rows: Of the held release.
        needed: Digest and mode of every file of the new one: a file with the mode that is
            needed can be linked, another must be copied.
        wanted: Digests.

    Returns:
        Row numbers, in the order of their paths.
    """
    chosen: dict[bytes, int] = {}
    for row, digest in enumerate(rows.digests):
        if digest not in wanted:
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
