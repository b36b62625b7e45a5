"""The run directory: a short, private place for the sockets of one data directory.

A unix socket's path holds at most 107 bytes (``sun_path`` of Linux, 103 on macOS), and data
directories may lie deep, so sockets live apart from them.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from turnout.base.errors import Failed, Refused

SOCKET_LIMIT = 103
"""Bytes a socket's path may have everywhere."""

_LONGEST_NAME = 32
_PIN = "run-directory"


def run_directory(data: Path) -> Path:
    """Return the run directory of *data*, made with mode 0700 if it is missing.

    It is ``$XDG_RUNTIME_DIR/turnout`` or ``/tmp/turnout-UID``, plus 10 hexadecimal digits of
    the SHA-256 of the resolved data path.  The first answer is remembered in *data*, so that
    a later login with another environment finds the same sockets.

    Raises:
        Refused: The place belongs to another user, or is a symbolic link.
        Failed: It cannot be made.
    """
    data = data.resolve()
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:10]
    pinned = _pinned(data, name)
    if pinned is not None:
        return pinned
    base = _base()
    private_directory(base)
    chosen = base / name
    private_directory(chosen)
    _pin(data, chosen)
    return chosen


def private_directory(path: Path) -> Path:
    """Make *path* with mode 0700 if it is missing, and check that it is ours alone.

    Raises:
        Refused: It belongs to another user, or is a symbolic link or no directory.
        Failed: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        found = path.lstat()
    except OSError as error:
        raise Failed(
            "A directory for sockets cannot be made", subject=str(path), why=str(error)
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Refused(
            "A directory for sockets is not ours",
            subject=str(path),
            why="it belongs to another user, or is no directory of its own",
            next_step="Remove it, or name another place in XDG_RUNTIME_DIR.",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    return path


def _base() -> Path:
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and len(os.fsencode(given)) <= SOCKET_LIMIT - _LONGEST_NAME - 20:
        runtime = Path(given)
        try:
            found = runtime.lstat()
        except OSError:
            found = None
        if found and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return runtime / "turnout"
    # Not tempfile.gettempdir(): TMPDIR differs between sessions and may be long.
    common = Path("/tmp")  # noqa: S108 - private_directory checks what stands there
    temporary = common if common.is_dir() else Path(tempfile.gettempdir())
    return temporary / f"turnout-{os.getuid()}"


def _pinned(data: Path, name: str) -> Path | None:
    try:
        chosen = Path((data / _PIN).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    # A copied data directory brings a pin of its origin: the name gives it away.
    if not chosen.is_absolute() or chosen.name != name or not chosen.parent.parent.is_dir():
        return None
    try:
        private_directory(chosen.parent)
        return private_directory(chosen)
    except (Refused, Failed):
        return None


def _pin(data: Path, chosen: Path) -> None:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = data / f".{_PIN}.{os.getpid()}"
    temporary.write_text(f"{chosen}\n", encoding="utf-8")
    temporary.replace(data / _PIN)
