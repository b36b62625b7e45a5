"""What ``turnout up`` is told, and the lock that keeps a second server off the same data."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from turnout.base.errors import Conflict, Exhausted, Failed, InvalidInput, Refused

if TYPE_CHECKING:
    from turnout.monitoring.otlp import Endpoint

HOST = "local"
"""The name of the host that a server has on its own machine."""


@dataclass(frozen=True)
class Options:
    """What ``turnout up`` was told."""

    listen: tuple[str, int]
    http: tuple[str, int]
    data: Path
    database: str
    names: tuple[str, ...]
    """Further host names that the API answers to."""
    tls: tuple[Path, Path] | None
    stop_apps: bool
    json: bool
    traces: Endpoint | None = None
    """Where the traces of deployments are sent, if anywhere."""


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
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 65536
    if not colon or not host or number > 65535:
        raise InvalidInput(
            f"{option} takes HOST:PORT",
            subject=text[:100],
            next_step=f"For example {option} 127.0.0.1:{'7700' if 'listen' in option else '8080'}.",
        )
    return host.removeprefix("[").removesuffix("]"), number


def sites_address(text: str, listen: tuple[str, int]) -> tuple[str, int]:
    """Return the address and port of the sites; the router takes no names and no port by chance.

    Raises:
        InvalidInput: It is not of the form ADDRESS:PORT, or is where the API listens.
    """
    host, port = parse_address(text, "--http")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        port = 0
    if port == 0 or (host, port) == listen:
        raise InvalidInput(
            "The sites cannot be served there",
            subject=text[:100],
            why="the API listens there" if port else "it takes an IP address and a port from 1 on",
            next_step="For example --http 127.0.0.1:8080.",
        )
    return host, port


def traces_endpoint(setting: str | None) -> Endpoint | None:
    """Return where traces go: to *setting*, else where ``OTEL_EXPORTER_OTLP_*`` say, else nowhere.

    Raises:
        InvalidInput: The address is none of HTTP.
    """
    from turnout.monitoring.otlp import endpoint_of  # slow to import, and `--help` needs none

    return endpoint_of(os.environ, setting)


def own_database(data: Path) -> str:
    """Return the address of the SQLite file in *data*, whose path may hold ``?`` and ``%``."""
    return f"sqlite:///{quote(str(data / 'turnout.db'))}"


def reached_at(listen: str) -> str:
    """Return the address at which this machine reaches what listens on *listen*."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104 - compared


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the lock of a data directory.

    Raises:
        Conflict: Another server holds it.
        Refused: Other users can change what is in it.
        Failed: It cannot be made or written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_own(data)
        descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failed(
            "The data directory cannot be used",
            subject=str(data),
            why=error.strerror or str(error),
            next_step="Make it a directory that this user may write, or give another with --data.",
        ) from error
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


@contextlib.contextmanager
def explained(data: Path) -> Iterator[None]:
    """Turn what the operating system refuses a server into an error that says what to do.

    Raises:
        Exhausted: The disk is full.
        Failed: Something in the data directory is not as it should be.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (Exhausted if full else Failed)(
            "The disk is full" if full else "The server cannot use its data",
            subject=str(error.filename or data),
            why=error.strerror or str(error),
            next_step="Free space on the volume of the data directory, then start again."
            if full
            else "Put it right, or bring the data back from a backup, then start again.",
        ) from error


def _require_own(data: Path) -> None:
    facts = data.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise Refused(
            "Other users can change what is in the data directory",
            subject=str(data),
            why="it belongs to somebody else"
            if facts.st_uid != os.getuid()
            else f"its mode is {facts.st_mode & 0o7777:o}",
            next_step=f"If that is a mistake, run: chmod 700 {data}; else give another with --data.",
        )
