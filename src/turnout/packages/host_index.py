"""A host's index of one release: where every file is, and how to tell that nobody touched it.

Columns, all numbers little-endian, as in the manifest:

    "THIX"  u32 files  u64 length of the paths
    32 bytes a file: SHA-256
    u64 a file: inode, then the same for size and for modification time in nanoseconds
    u8 a file: 1 if it may be executed
    the paths, separated by NUL

They are columns in memory too: numbers in arrays cost the collector of garbage nothing, while
an object a file made it look through all of them again and again.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from turnout.base.errors import Failed
from turnout.packages.manifest import Manifest

NAME = "index"
_MAGIC = b"THIX"
_HEAD = struct.Struct("<4sIQ")


class Rows:
    """The files of a release in the order of its manifest, and how each was when unpacked.

    Args:
        paths: One a file, and so for all the others.
        digests: SHA-256, 32 bytes.
        sizes: Bytes.
        modes: 1 if it may be executed, else 0.
        inodes: 0 for a file that is not there yet.
        times: Modification times in nanoseconds.
    """

    def __init__(
        self,
        paths: list[str],
        digests: list[bytes],
        sizes: Sequence[int],
        modes: bytes,
        inodes: array[int],
        times: array[int],
    ) -> None:
        self.paths = paths
        self.digests = digests
        self.sizes = sizes
        self.modes = modes
        self.inodes = inodes
        self.times = times

    @classmethod
    def of(cls, manifest: Manifest) -> Rows:
        """Return the files of *manifest*, none of which is there yet."""
        codes, sizes, digests, paths, targets = manifest.columns
        if targets:
            files = [at for at, code in enumerate(codes) if code < 2]
            paths = [paths[at] for at in files]
            sizes = [sizes[at] for at in files]
            codes = codes.replace(b"\2", b"")
        nothing = bytes(8 * len(paths))
        raw = list(map(bytes.fromhex, digests))
        return cls(paths, raw, sizes, codes, array("Q", nothing), array("q", nothing))

    def mode(self, row: int) -> int:
        """Return the permission bits of a file."""
        return 0o755 if self.modes[row] else 0o644

    def note(self, row: int, facts: os.stat_result) -> None:
        """Note how a file is now that it is complete."""
        self.times[row] = facts.st_mtime_ns
        self.inodes[row] = facts.st_ino

    def untouched(self, row: int, facts: os.stat_result) -> bool:
        """Return whether *facts* are those of the file as it was unpacked."""
        return (
            facts.st_ino == self.inodes[row]
            and facts.st_size == self.sizes[row]
            and facts.st_mtime_ns == self.times[row]
        )

    def encode(self) -> bytes:
        """Return the bytes of the index."""
        count = len(self.paths)
        paths = "\0".join(self.paths).encode()
        return b"".join(
            (
                _HEAD.pack(_MAGIC, count, len(paths)),
                b"".join(self.digests),
                _little(self.inodes),
                struct.pack(f"<{count}Q", *self.sizes),
                _little(self.times),
                self.modes,
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
        magic, self.files, path_bytes = _HEAD.unpack_from(self._data)
        if magic != _MAGIC or len(self._data) != self._at(57) + path_bytes:
            raise self._damaged()

    @cached_property
    def rows(self) -> Rows:
        """The files of the release."""
        data, start, count = self._data, self._at(0), int(self.files)
        paths = data[self._at(57) :].decode().split("\0") if count else []
        if len(paths) != count:
            raise self._damaged()
        return Rows(
            paths,
            [data[at : at + 32] for at in range(start, self._at(32), 32)],
            struct.unpack_from(f"<{count}Q", data, self._at(40)),
            data[self._at(56) : self._at(57)],
            _numbers("Q", data[self._at(32) : self._at(40)]),
            _numbers("q", data[self._at(48) : self._at(56)]),
        )

    def _at(self, row_bytes: int) -> int:
        return _HEAD.size + row_bytes * int(self.files)

    def _damaged(self) -> Failed:
        return Failed(
            "The index of a release is damaged",
            subject=str(self.release),
            next_step="Remove the release from this host and deploy again.",
        )


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, data: bytes) -> array[int]:
    numbers = array(kind, data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
