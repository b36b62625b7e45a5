"""Placing: the files of one segment are checked and written into a tree."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from turnout.base.errors import Untrusted
from turnout.packages.disk import write_all

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Placement(NamedTuple):
    """A file that is whole in a segment.

    Attributes:
        start: Where it begins in the segment's plaintext.
        length: Its size.
        digest: What its SHA-256 must be.
        path: Relative to the tree; its directory exists.
        mode: Its permission bits.
    """

    start: int
    length: int
    digest: bytes
    path: str
    mode: int


def place(
    root: int, umask: int, plain: memoryview, files: Sequence[Placement]
) -> tuple[list[int], list[int]]:
    """Check all of *files*, and if they are as they should be write them.

    Args:
        root: The handle of the tree.
        umask: The bits that this process does not give to new files.
        plain: The segment's plaintext.
        files: None of which exists.

    Returns:
        The inode of every file, and its modification time in nanoseconds.

    Raises:
        Untrusted: One is not what its digest says; nothing was written.
    """
    for start, length, digest, path, _ in files:
        if sha256(plain[start : start + length]).digest() != digest:
            raise Untrusted("A file is not what the manifest says", subject=path)
    inodes, times = [], []
    for start, length, _, path, mode in files:
        handle = create(root, umask, path, mode)
        try:
            if length:
                write_all(handle, plain[start : start + length])
            facts = os.fstat(handle)
        finally:
            os.close(handle)
        inodes.append(facts.st_ino)
        times.append(facts.st_mtime_ns)
    return inodes, times


def create(root: int, umask: int, path: str, mode: int) -> int:
    """Return the handle of a new file; arguments as for :func:`place`."""
    handle = os.open(path, CREATE, mode, dir_fd=root)
    # The umask may have taken bits, and what it took is asked for once.
    if mode & umask:
        os.fchmod(handle, mode)
    return handle
