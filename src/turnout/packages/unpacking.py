"""Unpacking: a release's tree is written where nobody looks, from packages and held releases.

Directories come first, then files, and links last; the manifest allows nothing inside a link, and
the tree lies where only this process writes: no write can leave it.  So paths may be opened in
one call, which matters, as the files of a segment are in an order that suits the compressor.
"""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from turnout.base.errors import Untrusted
from turnout.packages.bringing import Target
from turnout.packages.buffers import Buffers, uncollected
from turnout.packages.helping import MANY
from turnout.packages.host_index import HostIndex, Rows
from turnout.packages.manifest import LINK, Manifest
from turnout.packages.placing import Placement, place
from turnout.packages.placing_helper import PlacingHelper
from turnout.packages.reuse import choose
from turnout.packages.segments import SEGMENT_BYTES, Part, Segment
from turnout.packages.walking import DIRECTORY, Descent

_BLOCK = 1 << 20
_MOST_HELPERS = 2

_CROWD = 64
"""Files of one segment from which on they are small, and written by one thread at a time."""


class _Parted(NamedTuple):
    """A file that comes in parts: its handle, and the offset and length of those written."""

    handle: int
    lengths: dict[int, int]


class Unpacking:
    """A tree under way.

    Args:
        tree: An empty directory that nobody else uses.
        manifest: What it is to hold.
        expected: How many files will be taken from segments, as far as is known.
    """

    def __init__(self, tree: Path, manifest: Manifest, expected: int = 0) -> None:
        self._tree = tree
        self._manifest = manifest
        self._root = os.open(tree, DIRECTORY)
        self._parted: dict[bytes, _Parted] = {}
        self.rows = Rows.of(manifest)
        digests = self.rows.digests
        # The first file of each content, and the others where there are some.
        self._first = dict(zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True))
        self._twins: dict[bytes, list[int]] = {}
        if len(self._first) < len(digests):
            for row, digest in enumerate(digests):
                if self._first[digest] != row:
                    self._twins.setdefault(digest, []).append(row)
        self.reused_files = 0
        self._lock = threading.Lock()
        # One thread at a time: several that write small files take the interpreter from each
        # other at every call, which cost as much again as the writing.
        self._turn = threading.Lock()
        self._assigned = bytearray(len(digests))
        self._buffers = Buffers(SEGMENT_BYTES)
        self._target = Target(tree, self._root, self.rows)
        self._helpers: list[PlacingHelper] = []
        self._free: SimpleQueue[PlacingHelper] = SimpleQueue()
        cores = os.cpu_count() or 1
        if expected >= MANY and cores > 1:
            for _ in range(min(_MOST_HELPERS, cores)):
                self._helpers.append(PlacingHelper(self._root))
                self._free.put(self._helpers[-1])
        self._make_directories()

    def close(self) -> None:
        """Close what is open; called once, when no other call is under way."""
        for helper in self._helpers:
            helper.close()
        for parted in self._parted.values():
            os.close(parted.handle)
        self._parted.clear()
        os.close(self._root)

    def take(self, segment: Segment) -> None:
        """Unpack a segment, check its files, and write them; several threads may do it at once.

        Files that come in parts are checked when all is there.

        Raises:
            Untrusted: A file is not in the manifest, or not what its digest says.
        """
        with uncollected():
            self._take(segment)

    def _take(self, segment: Segment) -> None:
        files, parts, rows = self._assign(segment)
        found = None if parts else self._helped(segment, files)
        if found is None:
            with self._buffers.lent() as buffer:
                plain = segment.plain(buffer)
                with self._turn if len(files) >= _CROWD else nullcontext():
                    found = place(self._root, self._target.umask, plain, files)
                for part, start in parts:
                    self._write_part(part, plain[start : start + part.length])
        for row, inode, time in zip(rows, *found, strict=True):
            self.rows.times[row] = time
            self.rows.inodes[row] = inode
        for file in files if self._twins else ():
            if file.digest in self._twins:
                self._bring_twins(file.digest)

    def _helped(
        self, segment: Segment, files: list[Placement]
    ) -> tuple[list[int], list[int]] | None:
        """Let a helper place *files*; None if there is none that can.

        Threads only wait for them: such that write small files themselves spend half their
        time waiting for each other.
        """
        if not self._helpers:
            return None
        helper = self._free.get()
        try:
            return helper.place(segment, files)
        finally:
            self._free.put(helper)

    def _assign(
        self, segment: Segment
    ) -> tuple[list[Placement], list[tuple[Part, int]], list[int]]:
        """Return the files that are to be written from a segment, the parts, and the files' rows."""
        files, parts, rows = [], [], []
        first, sizes, paths = self._first, self.rows.sizes, self.rows.paths
        start = 0
        with self._lock:
            for part in segment.parts:
                digest, _, length, size = part
                row = first.get(digest)
                if row is None or sizes[row] != size:
                    raise Untrusted(
                        "A package holds a file that its manifest does not name",
                        subject=digest.hex(),
                    )
                if length != size:
                    parts.append((part, start))
                elif not self._assigned[row]:
                    # Another copy in the same package is not needed.
                    self._assigned[row] = 1
                    files.append(Placement(start, length, digest, paths[row], self.rows.mode(row)))
                    rows.append(row)
                start += length
        return files, parts, rows

    def lacking(self) -> set[bytes]:
        """Return the digests of which nothing was written."""
        inodes = self.rows.inodes
        return {
            digest
            for digest, row in self._first.items()
            if not inodes[row] and digest not in self._parted
        }

    def link(self, index: HostIndex) -> None:
        """Bring what is lacking from a held release, by hard link or by copy where links cannot be.

        A file that was touched since it was unpacked, and is not the same any more, is passed
        over.
        """
        needed = set(zip(self.rows.digests, self.rows.modes, strict=True))
        held = index.rows
        damaged: set[int] = set()
        with Descent(index.release / "tree") as there:
            while True:
                before = len(damaged)
                for source in choose(held, needed, self.lacking(), damaged):
                    digest = held.digests[source]
                    for row in (self._first[digest], *self._twins.get(digest, ())):
                        if not self._target.bring(there, held, source, row):
                            damaged.add(source)
                            break
                        self.reused_files += 1
                # Where a file was damaged another of the same content may be whole.
                if len(damaged) == before:
                    return

    def finish(self) -> None:
        """Write the links and check that nothing is lacking; called once, after all else.

        Raises:
            Untrusted: The package lacked files.
        """
        for digest in list(self._parted):
            self._finish_parted(digest)
        rows = self.rows
        if not all(rows.inodes):
            raise Untrusted(
                "A package lacks a file that this host does not hold either",
                subject=rows.paths[rows.inodes.index(0)],
                next_step="Deploy again: the host says anew what it lacks.",
            )
        columns = self._manifest.columns
        targets = iter(columns.targets)
        for code, path in zip(columns.codes, columns.paths, strict=True) if columns.targets else ():
            if code == LINK:
                os.symlink(next(targets), path, dir_fd=self._root)

    def _make_directories(self) -> None:
        made: set[str] = {""}
        for directory in sorted({p.rpartition("/")[0] for p in self._manifest.columns.paths}):
            path, above = directory, []
            while path not in made:
                made.add(path)
                above.append(path)
                path = path.rpartition("/")[0]
            for path in reversed(above):
                os.mkdir(path, 0o755, dir_fd=self._root)
        if self._target.umask & 0o755:
            for path in made - {""}:
                os.chmod(path, 0o755, dir_fd=self._root)  # noqa: S103  # served files are public

    def _write_part(self, part: Part, content: memoryview) -> None:
        row = self._first[part.digest]
        with self._lock:
            if self._assigned[row]:
                return  # complete and checked
            parted = self._parted.get(part.digest)
            if parted is None:
                parted = self._parted[part.digest] = _Parted(self._target.create(row), {})
        view, offset = content, part.offset
        while view:
            done = os.pwrite(parted.handle, view, offset)
            view, offset = view[done:], offset + done
        with self._lock:
            parted.lengths[part.offset] = part.length
            complete = not self._assigned[row] and sum(parted.lengths.values()) >= part.size
            if complete:
                self._assigned[row] = 1
        if complete:
            self._finish_parted(part.digest)

    def _finish_parted(self, digest: bytes) -> None:
        """Hash the whole of a large file where it lies, whatever parts it came in."""
        handle = self._parted[digest].handle
        row = self._first[digest]
        running = sha256()
        offset = 0
        while block := os.pread(handle, _BLOCK, offset):
            running.update(block)
            offset += len(block)
        if running.digest() != digest:
            self._target.refuse(row)
        self.rows.note(row, os.fstat(handle))
        with self._lock:
            os.close(self._parted.pop(digest).handle)
        self._bring_twins(digest)

    def _bring_twins(self, digest: bytes) -> None:
        """Make the other files with this content: links to one with the same mode, else copies."""
        done = [self._first[digest]]
        for row in self._twins.get(digest, ()):
            twin = next((t for t in done if self.rows.modes[t] == self.rows.modes[row]), None)
            if twin is None:
                with Descent(self._tree) as there:
                    self._target.copy(there, self.rows.paths[done[0]], row)
            else:
                root, path = self._root, self.rows.paths[row]
                os.link(
                    self.rows.paths[twin],
                    path,
                    src_dir_fd=root,
                    dst_dir_fd=root,
                    follow_symlinks=False,
                )
                # One inode, so one time too.
                self.rows.times[row] = self.rows.times[twin]
                self.rows.inodes[row] = self.rows.inodes[twin]
            done.append(row)
