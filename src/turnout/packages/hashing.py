"""Hashing files, and noticing those that change while they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from turnout.base.errors import InvalidInput
from turnout.packages.disk import explained
from turnout.packages.walking import Descent

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without following a link, and without waiting should a pipe have taken the file's place."""

_BLOCK = 1 << 20


class Mark(NamedTuple):
    """What the file system says of a file; it differs after any change to the content.

    The change time is among it because a program can set the modification time back.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def mark_of(facts: os.stat_result) -> Mark:
    return Mark(facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def hash_run(root: Path, run: Sequence[tuple[str, Mark]]) -> list[str]:
    """Return the SHA-256 in hexadecimal of every file of *run*, in order, in this thread.

    Raises:
        InvalidInput: A file is no longer what its mark says, or cannot be read.
    """
    with explained("A directory cannot be read", root), Descent(root) as descent:
        return [_hash(descent, path, mark) for path, mark in run]


def read_into(descent: Descent, path: str, mark: Mark, offset: int, target: memoryview) -> None:
    """Fill *target* with the content of *path* from *offset* on.

    Args:
        descent: The tree it is in.
        path: Relative to the tree.
        mark: What it must still be.
        offset: In bytes.
        target: As long as what is read.

    Raises:
        InvalidInput: It changed since it was marked, or while it was read, or is unreadable.
    """
    handle = _open(descent, path)
    try:
        while target:
            count = os.preadv(handle, [target], offset)
            if not count:
                raise _changed(path, "it became shorter")
            target, offset = target[count:], offset + count
        _check_mark(handle, path, mark)
    except OSError as error:
        raise _changed(path, error.strerror or "it cannot be read") from error
    finally:
        os.close(handle)


def _hash(descent: Descent, path: str, mark: Mark) -> str:
    handle = _open(descent, path)
    try:
        # One read more than needed would find the end; the size says it already.
        left = mark.size
        block = os.read(handle, min(left, _BLOCK)) if left else b""
        left -= len(block)
        running = hashlib.sha256(block)
        while left:
            block = os.read(handle, min(left, _BLOCK))
            if not block:
                raise _changed(path, "it became shorter")
            running.update(block)
            left -= len(block)
        _check_mark(handle, path, mark)
        return running.hexdigest()
    except OSError as error:
        raise _changed(path, error.strerror or "it cannot be read") from error
    finally:
        os.close(handle)


def _open(descent: Descent, path: str) -> int:
    try:
        directory, name = descent.locate(path)
        return os.open(name, READ, dir_fd=directory)
    except OSError as error:
        raise _changed(path, error.strerror or "it cannot be read") from error


def _check_mark(handle: int, path: str, mark: Mark) -> None:
    """Check after reading, which is enough: the mark was taken before, and only time goes on."""
    facts = os.fstat(handle)
    if mark != (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns):
        raise _changed(path, "it changed since it was listed, or while it was read")


def _changed(path: str, why: str) -> InvalidInput:
    return InvalidInput(
        "A file cannot be packaged as it is not at rest",
        subject=path,
        why=why,
        next_step="Wait until the build is done and try again.",
    )
