"""Files with secrets: owner-only, whole or absent, and refused when others could read them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from turnout.base.errors import Exhausted, Failed

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def private_directory(directory: Path) -> Path:
    """Make *directory* if it is missing, and check that it is ours alone.

    Raises:
        Failed: Others may enter it, it belongs to somebody else, it is no directory, or it cannot
            be made.
    """
    with _explained("A key directory cannot be made", directory):
        try:
            directory.mkdir(mode=DIRECTORY_MODE, parents=True)
        except FileExistsError:
            pass
        else:
            directory.chmod(DIRECTORY_MODE)
        facts = os.lstat(directory)
    if not stat.S_ISDIR(facts.st_mode):
        raise Failed(
            "A key directory is not a directory",
            subject=str(directory),
            why="a link or a file stands there",
            next_step="Move it away; if the keys lie elsewhere, put them there.",
        )
    _check_owner_only(directory, facts, "700")
    return directory


def read_private(path: Path) -> bytes | None:
    """Return the bytes of *path*, or None if there is no such file.

    Raises:
        Failed: Others may read it, it belongs to somebody else, or it is a link.
    """
    with _explained("A key file cannot be read", path):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            _check_owner_only(path, os.fstat(file.fileno()), "600")
            return file.read()


def create_private(path: Path, content: bytes) -> bool:
    """Write *content* to *path* unless it exists already; the file is whole or absent.

    Returns:
        Whether it was written; False means that somebody else was quicker.

    Raises:
        Exhausted: The disk is full.
        Failed: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with _explained("A key file cannot be written", path):
        try:
            _write_new(temporary, content)
            # A link, unlike a rename, fails when the name is taken: two first uses agree on one.
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        sync_directory(path.parent)
    return True


def destroy_private(path: Path) -> bool:
    """Overwrite and remove *path*.

    The overwriting is a courtesy: journals and flash keep copies.  What protects is that the
    file held nothing but a wrapped key.

    Returns:
        Whether there was such a file.

    Raises:
        Failed: It cannot be removed.
    """
    with _explained("A key file cannot be destroyed", path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        with os.fdopen(handle, "wb") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    return True


def sync_directory(directory: Path) -> None:
    """Bring the names in *directory* to the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_new(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), FILE_MODE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _explained(what: str, path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        link = error.errno == errno.ELOOP
        raise (Exhausted if full else Failed)(
            what,
            subject=str(path),
            why="it is a symbolic link" if link else error.strerror or str(error),
            next_step="Free space on the volume of the data directory."
            if full
            else "Put the file itself in the place of the link."
            if link
            else "Make it one that the owner of the data directory can read and write, or bring "
            "it back from a backup.",
        ) from error


def _check_owner_only(path: Path, facts: os.stat_result, mode: str) -> None:
    if facts.st_uid != os.geteuid():
        raise Failed(
            "Keys belong to another user",
            subject=str(path),
            why=f"owned by user {facts.st_uid}, and this is user {os.geteuid()}",
            next_step="Run Turnout as the owner of its data directory.",
        )
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise Failed(
            "Keys can be read by others",
            subject=str(path),
            why=f"its mode is {stat.S_IMODE(facts.st_mode):o}",
            next_step=f"If nobody has copied them, run: chmod {mode} {path}",
        )
