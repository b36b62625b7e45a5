"""Copies of a release's tree: private ones for server apps, hard-linked ones for static roots.

Both are made beside their destination and appear by one rename, so a destination that exists is
complete, and making it again does nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from turnout.packages.disk import explained, remove_tree, temporary_name, write_all
from turnout.packages.pipeline import in_order
from turnout.packages.walking import Descent

_FICLONE = 0x40049409
"""``ioctl`` of Linux that shares a file's blocks until one side writes (linux/fs.h)."""

_REFLINK_BYTES = 64 << 10
"""Sharing the blocks of a small file takes longer than copying it (measured on XFS)."""

_BLOCK = 1 << 20
_WORKERS = 2
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_Place = Callable[[int, str, int], None]


def copy_tree(tree: Path, destination: Path) -> bool:
    """Copy *tree* so that a program may write to every file of the copy.

    Blocks are shared where the file system can do that until one is written.

    Args:
        tree: A release's.
        destination: Must not exist yet, or be complete; its parent exists.

    Returns:
        Whether it was made now.

    Raises:
        Exhausted: The disk is full; nothing is left behind.
    """
    return _make(tree, destination, _copy_file)


def link_tree(tree: Path, destination: Path) -> bool:
    """Make a directory whose files are hard links to those of *tree*, for reading only.

    Where links are impossible, files are copied.  Arguments and results are those of
    :func:`copy_tree`.
    """
    return _make(tree, destination, _link_file)


def _make(tree: Path, destination: Path, place: _Place) -> bool:
    if destination.is_dir():
        return False
    temporary = temporary_name(destination.parent)
    with explained("A release cannot be laid out", destination):
        try:
            temporary.mkdir(mode=0o755)
            temporary.chmod(0o755)
            directories = _make_directories(tree, temporary)
            runs = [directories[at : at + 64] for at in range(0, len(directories), 64)]
            for _ in in_order(
                lambda run: _fill(tree, temporary, run, place), runs, _WORKERS, 2 * _WORKERS
            ):
                pass
            temporary.rename(destination)
        except OSError as error:
            remove_tree(temporary)
            # Another thread was quicker, with the same result.
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and destination.is_dir():
                return False
            raise
        except BaseException:
            remove_tree(temporary)
            raise
    return True


def _make_directories(tree: Path, target: Path) -> list[str]:
    found = [""]
    todo = [""]
    with Descent(tree) as descent, Descent(target, make=True) as making:
        while todo:
            directory = todo.pop()
            prefix = directory + "/" if directory else ""
            with os.scandir(descent.enter(directory)) as names:
                below = [prefix + i.name for i in names if i.is_dir(follow_symlinks=False)]
            for path in below:
                making.enter(path)
            todo.extend(below)
            found.extend(below)
    return sorted(found)


def _fill(tree: Path, target: Path, directories: list[str], place: _Place) -> None:
    with Descent(tree) as there, Descent(target) as here:
        for directory in directories:
            source, sink = there.enter(directory), here.enter(directory)
            with os.scandir(source) as names:
                items = [item for item in names if not item.is_dir(follow_symlinks=False)]
            for item in items:
                if item.is_symlink():
                    os.symlink(os.readlink(item.name, dir_fd=source), item.name, dir_fd=sink)
                else:
                    place(source, item.name, sink)


def _link_file(source: int, name: str, sink: int) -> None:
    try:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=sink, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        _copy_file(source, name, sink)


def _copy_file(source: int, name: str, sink: int) -> None:
    read = os.open(name, _READ, dir_fd=source)
    try:
        facts = os.fstat(read)
        write = os.open(name, _CREATE, 0o600, dir_fd=sink)
        try:
            if not _share(read, write, facts.st_size):
                _copy_bytes(read, write, facts.st_size)
            os.fchmod(write, stat.S_IMODE(facts.st_mode))
        finally:
            os.close(write)
    finally:
        os.close(read)


def _share(read: int, write: int, size: int) -> bool:
    if size < _REFLINK_BYTES or not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError):
        fcntl.ioctl(write, _FICLONE, read)
        return True
    return False


def _copy_bytes(read: int, write: int, size: int) -> None:
    if size >= _REFLINK_BYTES and hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):
            while os.copy_file_range(read, write, 1 << 30):
                pass
    # Whatever the kernel did not copy, from where it stopped.
    while block := os.read(read, _BLOCK):
        write_all(write, block)
