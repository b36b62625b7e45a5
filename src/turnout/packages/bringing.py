"""Bringing: files of a held release come into a tree under way, by hard link or by copy."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NoReturn

from turnout.base.errors import Untrusted
from turnout.packages.disk import temporary_name, write_all
from turnout.packages.host_index import Rows
from turnout.packages.placing import CREATE, create
from turnout.packages.walking import Descent

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_UNLINKABLE = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)


class Target:
    """A tree under way and the rows that note what is in it.

    Args:
        tree: A directory that nobody else uses.
        root: A handle of it.
        rows: The files it is to hold.
    """

    def __init__(self, tree: Path, root: int, rows: Rows) -> None:
        self.root = root
        self.rows = rows
        self.umask = _umask_in(tree)

    def create(self, row: int) -> int:
        """Return the handle of a new file."""
        return create(self.root, self.umask, self.rows.paths[row], self.rows.mode(row))

    def bring(self, there: Descent, held: Rows, source: int, row: int) -> bool:
        """Bring one file; False if it is gone or not the same any more, and nothing is left.

        Args:
            there: The tree it comes from.
            held: That tree's files.
            source: The file's row among *held*.
            row: Its row here.
        """
        try:
            if held.modes[source] != self.rows.modes[row] or not self._link(
                there, held, source, row
            ):
                self.copy(there, held.paths[source], row)
        except (Untrusted, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _GONE:
                raise
            self.rows.inodes[row] = 0
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.rows.paths[row], dir_fd=self.root)
            return False
        return True

    def _link(self, there: Descent, held: Rows, source: int, row: int) -> bool:
        directory, name = there.locate(held.paths[source])
        root, path = self.root, self.rows.paths[row]
        try:
            os.link(name, path, src_dir_fd=directory, dst_dir_fd=root, follow_symlinks=False)
        except OSError as error:
            # Another file system, or as many links as an inode can have.
            if error.errno in _UNLINKABLE:
                return False
            raise
        facts = os.stat(path, dir_fd=root, follow_symlinks=False)
        if not held.untouched(source, facts):
            self._check_touched(row, facts)
        self.rows.note(row, facts)
        return True

    def _check_touched(self, row: int, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode) or stat.S_IMODE(facts.st_mode) != self.rows.mode(row):
            raise Untrusted("A file of a held release was replaced", subject=self.rows.paths[row])
        handle = os.open(self.rows.paths[row], _READ, dir_fd=self.root)
        with os.fdopen(handle, "rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != self.rows.digests[row]:
                self.refuse(row)

    def copy(self, there: Descent, source: str, row: int) -> None:
        """Copy the file *source* of another tree, which must be what the row says.

        Raises:
            Untrusted: It is not.
        """
        directory, name = there.locate(source)
        with os.fdopen(os.open(name, _READ, dir_fd=directory), "rb", 0) as read:
            handle = self.create(row)
            try:
                running = hashlib.sha256()
                while block := read.read(_BLOCK):
                    running.update(block)
                    write_all(handle, block)
                if running.digest() != self.rows.digests[row]:
                    self.refuse(row)
                self.rows.note(row, os.fstat(handle))
            finally:
                os.close(handle)

    def refuse(self, row: int) -> NoReturn:
        """Say that a file is another one.

        Raises:
            Untrusted: Always.
        """
        raise Untrusted("A file is not what the manifest says", subject=self.rows.paths[row])


def _umask_in(tree: Path) -> int:
    """Return which permission bits new files in *tree* do not get.

    Asked by trying: reading the umask means setting it, for all threads.
    """
    probe = temporary_name(tree)
    handle = os.open(probe, CREATE, 0o777)
    try:
        return 0o777 & ~os.fstat(handle).st_mode
    finally:
        os.close(handle)
        probe.unlink()
