"""A host's index of one release: where every file is, and how to tell that nobody touched it.

Columns, all numbers little-endian, as in the manifest:

    "THIX"  u32 files  u64 length of the paths
    32 bytes a file: SHA-256
    u64 a file: inode, then the same for size and for modification time in nanoseconds
    u8 a file: 1 if it may be executed
    the paths, separated by NUL
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from turnout.base.errors import Failed

NAME = "index"
_MAGIC = b"THIX"
_HEAD = struct.Struct("<4sIQ")


class HeldFile(NamedTuple):
    """A file of a release that the host holds, and how it was when it was unpacked."""

    digest: bytes
    path: str
    mode: int
    inode: int
    size: int
    mtime_ns: int

    def untouched(self, facts: os.stat_result) -> bool:
        """Return whether *facts* are those of the file as it was unpacked."""
        return (
            facts.st_ino == self.inode
            and facts.st_size == self.size
            and facts.st_mtime_ns == self.mtime_ns
        )


def encode(files: Iterable[HeldFile]) -> bytes:
    """Return the bytes of the index."""
    rows = list(files)
    count = len(rows)
    paths = "\0".join(row.path for row in rows).encode()
    return b"".join(
        (
            _HEAD.pack(_MAGIC, count, len(paths)),
            b"".join(row.digest for row in rows),
            struct.pack(f"<{count}Q", *(row.inode for row in rows)),
            struct.pack(f"<{count}Q", *(row.size for row in rows)),
            struct.pack(f"<{count}q", *(row.mtime_ns for row in rows)),
            bytes(row.mode == 0o755 for row in rows),
            paths,
        )
    )


class HostIndex:
    """The index of one held release.

    Raises:
        Failed: The file is damaged.
    """

    def __init__(self, release: Path) -> None:
        self.release = release
        self._data = (release / NAME).read_bytes()
        if len(self._data) < _HEAD.size:
            raise self._damaged()
        magic, self.files, self._path_bytes = _HEAD.unpack_from(self._data)
        if magic != _MAGIC or len(self._data) != self._at(57) + self._path_bytes:
            raise self._damaged()

    def find(self, wanted: Collection[bytes]) -> Iterator[HeldFile]:
        """Yield every file whose digest is among *wanted*."""
        digests = self._data
        start = _HEAD.size
        rows = [
            row
            for row in range(self.files)
            if digests[start + 32 * row : start + 32 * row + 32] in wanted
        ]
        if not rows:
            return
        count = self.files
        inodes = struct.unpack_from(f"<{count}Q", self._data, self._at(32))
        sizes = struct.unpack_from(f"<{count}Q", self._data, self._at(40))
        times = struct.unpack_from(f"<{count}q", self._data, self._at(48))
        modes = self._data[self._at(56) : self._at(57)]
        paths = self._data[self._at(57) :].decode().split("\0")
        for row in rows:
            at = start + 32 * row
            mode = 0o755 if modes[row] else 0o644
            yield HeldFile(
                digests[at : at + 32], paths[row], mode, inodes[row], sizes[row], times[row]
            )

    def _at(self, row_bytes: int) -> int:
        return _HEAD.size + row_bytes * int(self.files)

    def _damaged(self) -> Failed:
        return Failed(
            "The index of a release is damaged",
            subject=str(self.release),
            next_step="Remove the release from this host and deploy again.",
        )
