"""Unpacking: a release's tree is written where nobody looks, from packages and held releases.

Directories come first, then files, and links last; the manifest allows nothing inside a link, and
the tree lies where only this process writes: no write can leave it.  So paths may be opened in
one call, which matters, as the files of a segment are in an order that suits the compressor.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from turnout.base.errors import Untrusted
from turnout.packages.disk import temporary_name, write_all
from turnout.packages.host_index import HeldFile
from turnout.packages.manifest import Manifest
from turnout.packages.segments import Part, Segment
from turnout.packages.walking import DIRECTORY, Descent

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_UNLINKABLE = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


class Unpacking:
    """A tree under way.  Methods may be called from several threads, except where they say.

    Args:
        tree: An empty directory that nobody else uses.
        manifest: What it is to hold.
    """

    def __init__(self, tree: Path, manifest: Manifest) -> None:
        self._tree = tree
        self._manifest = manifest
        self._lock = threading.Lock()
        self._root = os.open(tree, DIRECTORY)
        self._parted: dict[bytes, _PartedFile] = {}
        self._places: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
        for entry in manifest.entries:
            if entry.kind == "file":
                self._places[bytes.fromhex(entry.digest)].append((entry.path, entry.mode))
        self._sizes = {bytes.fromhex(digest): size for digest, size in manifest.sizes.items()}
        self.held: dict[str, HeldFile] = {}
        self.reused_files = 0
        self._umask = _umask_in(tree)
        self._make_directories()

    def close(self) -> None:
        """Close what is open; called once, when no other call is under way."""
        for parted in self._parted.values():
            os.close(parted.handle)
        self._parted.clear()
        os.close(self._root)

    def check(self, segment: Segment) -> list[tuple[Part, memoryview]]:
        """Unpack a segment and check its files, but for those in parts.

        Raises:
            Untrusted: One is not in the manifest, or not what its digest says.
        """
        pieces = list(segment.pieces())
        for part, content in pieces:
            if self._sizes.get(part.digest) != part.size:
                raise Untrusted(
                    "A package holds a file that its manifest does not name",
                    subject=part.digest.hex(),
                )
            if part.whole:
                _check(part.digest, hashlib.sha256(content).digest(), self._places)
        return pieces

    def write(self, pieces: list[tuple[Part, memoryview]]) -> None:
        """Write what :meth:`check` returned."""
        for part, content in pieces:
            if part.whole:
                self._write_whole(part.digest, content)
            else:
                self._write_part(part, content)

    def lacking(self) -> set[bytes]:
        """Return the digests of which nothing was written."""
        return {
            digest
            for digest, places in self._places.items()
            if digest not in self._parted and places[0][0] not in self.held
        }

    def link(self, source: Path, files: Iterable[HeldFile]) -> None:
        """Bring files of the tree *source* in by hard link, or by copy where links cannot be.

        One that was touched since it was unpacked, and is not the same any more, is passed
        over.
        """
        with Descent(source) as there:
            for held in files:
                for path, mode in self._places[held.digest]:
                    if not self._bring(there, held, path, mode):
                        break

    def finish(self) -> None:
        """Write the links and check that nothing is lacking; called once, after all else.

        Raises:
            Untrusted: The package lacked files.
        """
        for digest, parted in list(self._parted.items()):
            self._finish_parted(digest, parted)
        for entry in self._manifest.entries:
            if entry.kind == "file" and entry.path not in self.held:
                raise Untrusted(
                    "A package lacks a file that this host does not hold either",
                    subject=entry.path,
                    next_step="Deploy again: the host says anew what it lacks.",
                )
        for entry in self._manifest.entries:
            if entry.kind == "link":
                os.symlink(entry.target, entry.path, dir_fd=self._root)

    def _make_directories(self) -> None:
        made: set[str] = {""}
        for entry in self._manifest.entries:
            directory = entry.path.rpartition("/")[0]
            above = []
            while directory not in made:
                made.add(directory)
                above.append(directory)
                directory = directory.rpartition("/")[0]
            for path in reversed(above):
                os.mkdir(path, 0o755, dir_fd=self._root)
        if self._umask & 0o755:
            for path in made - {""}:
                os.chmod(path, 0o755, dir_fd=self._root)  # noqa: S103  # served files are public

    def _write_whole(self, digest: bytes, content: memoryview) -> None:
        # Two copies in one package: the second has been checked and is not needed.
        with self._lock:
            if self._places[digest][0][0] in self.held:
                return
        for path, mode in self._places[digest]:
            if not self._link_twin(digest, path, mode):
                handle = self._create(path, mode)
                try:
                    if content:
                        write_all(handle, content)
                    self._note(digest, path, mode, os.fstat(handle))
                finally:
                    os.close(handle)

    def _write_part(self, part: Part, content: memoryview) -> None:
        with self._lock:
            parted = self._parted.get(part.digest)
            if parted is None:
                parted = self._parted[part.digest] = self._begin_parted(part.digest)
        view, offset = content, part.offset
        while view:
            done = os.pwrite(parted.handle, view, offset)
            view, offset = view[done:], offset + done

    def _begin_parted(self, digest: bytes) -> _PartedFile:
        path, mode = self._places[digest][0]
        return _PartedFile(self._create(path, mode))

    def _create(self, path: str, mode: int) -> int:
        handle = os.open(path, _CREATE, mode, dir_fd=self._root)
        # The umask may have taken bits, and what it took is asked for once.
        if mode & self._umask:
            os.fchmod(handle, mode)
        return handle

    def _finish_parted(self, digest: bytes, parted: _PartedFile) -> None:
        """Hash the whole of a large file where it lies, whatever parts it came in."""
        running = hashlib.sha256()
        offset = 0
        while block := os.pread(parted.handle, _BLOCK, offset):
            running.update(block)
            offset += len(block)
        _check(digest, running.digest(), self._places)
        path, mode = self._places[digest][0]
        self._note(digest, path, mode, os.fstat(parted.handle))
        for path, mode in self._places[digest][1:]:
            if not self._link_twin(digest, path, mode):
                first = self._places[digest][0][0]
                with Descent(self._tree) as there:
                    self._copy(there, first, path, mode, digest)
        os.close(self._parted.pop(digest).handle)

    def _link_twin(self, digest: bytes, path: str, mode: int) -> bool:
        """Link *path* to a file of this tree with the same content and mode, if there is one."""
        for twin, twin_mode in self._places[digest]:
            if twin == path:
                return False
            if twin_mode == mode:
                root = self._root
                os.link(twin, path, src_dir_fd=root, dst_dir_fd=root, follow_symlinks=False)
                self._note(digest, path, mode, os.stat(path, dir_fd=root, follow_symlinks=False))
                return True
        return False

    def _bring(self, there: Descent, held: HeldFile, path: str, mode: int) -> bool:
        try:
            if held.mode != mode or not self._link(there, held, path):
                self._copy(there, held.path, path, mode, held.digest)
        except (Untrusted, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _GONE:
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path, dir_fd=self._root)
            return False
        self.reused_files += 1
        return True

    def _link(self, there: Descent, held: HeldFile, path: str) -> bool:
        directory, name = there.locate(held.path)
        root = self._root
        try:
            os.link(name, path, src_dir_fd=directory, dst_dir_fd=root, follow_symlinks=False)
        except OSError as error:
            # Another file system, or as many links as an inode can have.
            if error.errno in _UNLINKABLE:
                return False
            raise
        facts = os.stat(path, dir_fd=root, follow_symlinks=False)
        if not held.untouched(facts):
            self._check_touched(path, held, facts)
        self._note(held.digest, path, held.mode, facts)
        return True

    def _check_touched(self, path: str, held: HeldFile, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode) or stat.S_IMODE(facts.st_mode) != held.mode:
            raise Untrusted("A file of a held release was replaced", subject=held.path)
        handle = os.open(path, _READ, dir_fd=self._root)
        with os.fdopen(handle, "rb") as file:
            _check(held.digest, hashlib.file_digest(file, "sha256").digest(), self._places)

    def _copy(self, there: Descent, source: str, path: str, mode: int, digest: bytes) -> None:
        directory, name = there.locate(source)
        with os.fdopen(os.open(name, _READ, dir_fd=directory), "rb", 0) as read:
            handle = self._create(path, mode)
            try:
                running = hashlib.sha256()
                while block := read.read(_BLOCK):
                    running.update(block)
                    write_all(handle, block)
                _check(digest, running.digest(), self._places)
                self._note(digest, path, mode, os.fstat(handle))
            finally:
                os.close(handle)

    def _note(self, digest: bytes, path: str, mode: int, facts: os.stat_result) -> None:
        self.held[path] = HeldFile(
            digest, path, mode, facts.st_ino, facts.st_size, facts.st_mtime_ns
        )


def _umask_in(tree: Path) -> int:
    """Return which permission bits new files in *tree* do not get.

    Asked by trying: reading the umask means setting it, for all threads.
    """
    probe = temporary_name(tree)
    handle = os.open(probe, _CREATE, 0o777)
    try:
        return 0o777 & ~os.fstat(handle).st_mode
    finally:
        os.close(handle)
        probe.unlink()


class _PartedFile:
    def __init__(self, handle: int) -> None:
        self.handle = handle


def _check(expected: bytes, found: bytes, places: dict[bytes, list[tuple[str, int]]]) -> None:
    if expected != found:
        raise Untrusted("A file is not what the manifest says", subject=places[expected][0][0])
