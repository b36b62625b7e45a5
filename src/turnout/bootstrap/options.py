"""What ``turnout up`` is told, and the lock that keeps a second server off the same data."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import Conflict, InvalidInput

HOST = "local"
"""The name of the host that a server has on its own machine."""


@dataclass(frozen=True)
class Options:
    """What ``turnout up`` was told."""

    listen: tuple[str, int]
    http: tuple[str, int]
    data: Path
    database: str
    tls: tuple[Path, Path] | None
    stop_apps: bool
    json: bool


def default_data() -> Path:
    """Return the per-user data directory (XDG Base Directory Specification 0.8)."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "turnout"


def parse_address(text: str, option: str) -> tuple[str, int]:
    """Return the host and port of ``HOST:PORT``.

    Raises:
        InvalidInput: It is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidInput(
            f"{option} takes HOST:PORT",
            subject=text[:100],
            next_step=f"For example {option} 127.0.0.1:{'7700' if 'listen' in option else '8080'}.",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the lock of a data directory.

    Raises:
        Conflict: Another server holds it.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            raise Conflict(
                "Another server runs on this data",
                subject=str(data),
                why=f"its process is {holder}" if holder else "",
                next_step="Use that one, stop it first, or give another directory with --data.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
