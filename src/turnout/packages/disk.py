"""The disk: whole files or none, names that survive a power cut, and clear errors when full."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from turnout.base.errors import Exhausted, Failed

TEMPORARY = ".tmp-"
"""How names of unfinished files and directories begin; a sweep removes them."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG}


@contextlib.contextmanager
def explained(what: str, subject: str | Path = "") -> Iterator[None]:
    """Turn an error of the operating system into one that says what happened.

    Raises:
        Exhausted: The disk, a quota, memory or the file descriptors ran out.
        Failed: Anything else that the system refused.
    """
    try:
        yield
    except OSError as error:
        kind = Exhausted if error.errno in _FULL else Failed
        raise kind(
            what,
            subject=str(subject),
            why=os.strerror(error.errno) if error.errno else str(error),
            next_step="Make room and try again; nothing was left half-written."
            if kind is Exhausted
            else "",
        ) from error


def temporary_name(directory: Path) -> Path:
    """Return an unused name in *directory* for something unfinished."""
    return directory / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"


def write_whole(path: Path, pieces: Iterable[bytes | memoryview], mode: int = 0o600) -> int:
    """Write *pieces* to *path*, which appears whole and on the disk, or not at all.

    Returns:
        The bytes written.
    """
    temporary = temporary_name(path.parent)
    size = 0
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb", buffering=0) as file:
            for piece in pieces:
                size += write_all(file.fileno(), piece)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return size


def write_all(handle: int, data: bytes | bytearray | memoryview) -> int:
    """Write all of *data* to a file descriptor and return its length."""
    size = len(data)
    done = os.write(handle, data)
    while done < size:
        done += os.write(handle, memoryview(data)[done:])
    return size


def sync_directory(directory: Path) -> None:
    """Bring the names in *directory* to the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _find_syncfs() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function


_syncfs = _find_syncfs()


def sync_tree(directory: Path) -> None:
    """Bring everything below *directory* to the disk.

    One ``syncfs`` instead of an ``fsync`` a file, each of which would wait for the journal; an
    error of any write-back since is reported by it too (Linux >= 5.8).
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs is None:
            os.sync()
        elif _syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(handle)


def link_over(source: Path, target: Path) -> None:
    """Make *target* a hard link to *source*, in place of what was there, at one moment.

    Where links are impossible, a copy takes its place.

    Raises:
        FileNotFoundError: There is no *source*.
    """
    with contextlib.suppress(FileNotFoundError):
        # Renaming one link over another of the same file would leave both.
        if os.path.samestat(os.lstat(source), os.lstat(target)):
            return
    temporary = temporary_name(target.parent)
    try:
        os.link(source, temporary, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, temporary)
        shutil.copymode(source, temporary)
    temporary.replace(target)


def remove_tree(directory: Path) -> None:
    """Remove a directory and what is below it, without ever following a link out of it."""
    if directory.is_symlink() or not directory.is_dir():
        directory.unlink(missing_ok=True)
        return
    shutil.rmtree(directory)
