"""Listening on a unix socket: private, replaced if stale, and only for our own user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from turnout.base.errors import Conflict, InvalidInput
from turnout.base.rundir import SOCKET_LIMIT

GRACE = 3
"""Seconds that requests under way get when the agent ends."""

_log = structlog.get_logger()


def listen(path: Path) -> socket.socket:
    """Return a listening socket at *path* that only our user can open.

    Raises:
        Conflict: Somebody answers there.
        InvalidInput: The path is too long for a socket.
    """
    if len(os.fsencode(path)) > SOCKET_LIMIT:
        raise InvalidInput(
            "The socket's path is too long",
            subject=str(path),
            why=f"a socket's path holds at most {SOCKET_LIMIT} bytes",
            next_step="Name a shorter one, for example under /tmp.",
        )
    if _answers(path):
        raise Conflict("Another agent listens on this socket", subject=str(path))
    fresh = path.with_name(f".{path.name[:8]}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    fresh.chmod(0o600)
    listener.listen(256)
    listener.setblocking(False)
    # Renamed into place, so that a peer finds the stale socket or one that listens.
    fresh.replace(path)
    return listener


class Server(uvicorn.Server):
    """Uvicorn without signal handlers: the agent decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(app: object) -> Server:
    """Return a server of *app* that answers only peers of our own user."""
    return Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]  # any ASGI application
            http=OwnUserOnly,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
    )


class OwnUserOnly(H11Protocol):
    """HTTP/1.1 for peers that run as our user, or as root."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        peer = cast("socket.socket", transport.get_extra_info("socket"))
        uid = _peer_uid(peer)
        if uid is not None and uid not in (os.getuid(), 0):
            _log.warning("wire.stranger", uid=uid)
            transport.abort()
            return
        super().connection_made(transport)


def _peer_uid(peer: socket.socket) -> int | None:
    if not hasattr(socket, "SO_PEERCRED"):
        return None  # the directory's mode alone must do
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
