"""Reuse: which files of a new release are here already, in releases that the host holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from turnout.packages.hashing import READ
from turnout.packages.host_index import HeldFile, HostIndex
from turnout.packages.manifest import Manifest
from turnout.packages.walking import Descent


def choose(index: HostIndex, manifest: Manifest, wanted: set[bytes]) -> list[HeldFile]:
    """Return the files with the digests *wanted* that one held release has, each digest once.

    Nothing is looked at but the index: whoever takes a file checks it.

    Returns:
        Files in the order of their paths.
    """
    modes = {(bytes.fromhex(e.digest), e.mode) for e in manifest.entries if e.kind == "file"}
    chosen: dict[bytes, HeldFile] = {}
    for held in index.find(wanted):
        before = chosen.get(held.digest)
        # One with the mode that is needed can be linked, another must be copied.
        if before is None or (
            (held.digest, before.mode) not in modes and (held.digest, held.mode) in modes
        ):
            chosen[held.digest] = held
    return sorted(chosen.values(), key=lambda held: held.path)


def find_verified(indexes: Iterable[HostIndex], wanted: set[bytes]) -> set[bytes]:
    """Return which of *wanted* are here and unharmed, looking at each file."""
    found: set[bytes] = set()
    for index in indexes:
        left = wanted - found
        if not left:
            break
        with Descent(index.release / "tree") as descent:
            for held in index.find(left):
                if held.digest not in found and _unharmed(descent, held):
                    found.add(held.digest)
    return found


def _unharmed(descent: Descent, held: HeldFile) -> bool:
    try:
        directory, name = descent.locate(held.path)
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if held.untouched(facts):
            return True
        handle = os.open(name, READ, dir_fd=directory)
    except OSError:
        return False
    try:
        with open(handle, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").digest() == held.digest
    except OSError:
        return False
    finally:
        os.close(handle)
