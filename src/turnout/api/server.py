"""The HTTP server of ``turnout up``: one socket, bound by us, and a stop that ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from turnout.api.connections import Connection
from turnout.api.door import is_loopback
from turnout.base.errors import Conflict, InvalidInput, Refused

if TYPE_CHECKING:
    from fastapi import FastAPI

_GRACE_S = 5
"""Seconds that requests under way get after the stop; streams end at once."""
_KEEP_ALIVE_S = 75
_BACKLOG = 1024


@dataclass(frozen=True)
class Tls:
    """A certificate chain and its key, both as PEM files."""

    certificate: Path
    key: Path


def require_tls(host: str) -> bool:
    """Return whether listening on *host* reaches beyond this machine and so needs TLS."""
    return not is_loopback(host)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address and not listening yet.

    Args:
        host: An address or name of this machine.
        port: 0 for any free port.

    Raises:
        Conflict: Another program has the address.
        Refused: This user may not have the port.
        InvalidInput: There is no such address on this machine.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError) as error:
        raise InvalidInput(
            "The listen address is not known",
            subject=address,
            why=str(error),
            next_step="Use --listen with an address of this machine, such as 127.0.0.1:7700.",
        ) from error
    family, kind, protocol, _, target = found[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # A server that starts again must not wait for the old one's last connections to expire.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(target)
        # A bound socket with SO_REUSEADDR finds out only now that another one listens.
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise _explained(error, address) from error
    bound.setblocking(False)
    return bound


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    ready: Callable[[str, int], None],
    stop: asyncio.Event,
    tls: Tls | None = None,
    bound: socket.socket | None = None,
) -> None:
    """Serve *app* until *stop* is set, then end within seconds even if streams are open.

    Args:
        app: What :func:`turnout.api.app.create_app` made.
        host: Where to listen.
        port: 0 for any free port.
        ready: Called with the real host and port once connections are taken.
        stop: Ends it.
        tls: Needed beyond loopback.
        bound: A socket from :func:`bind`, for who wants to know early whether it is free; it is
            closed at the end.

    Raises:
        Refused: The address reaches beyond this machine and there is no TLS.
        Conflict, InvalidInput: As :func:`bind`; or the certificate cannot be used.
    """
    if tls is None and require_tls(host):
        raise Refused(
            "The API is not served in the clear beyond this machine",
            subject=f"{host}:{port}",
            why="tokens would travel unencrypted",
            next_step="Give a certificate and its key, or listen on 127.0.0.1.",
        )
    config = uvicorn.Config(
        app,
        http=Connection,
        # Our own logging stays as it is, and the door writes the access lines.
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody in front of us is trusted to say where a request came from.
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=64 << 10,
    )
    config.load()
    if tls is not None:
        config.ssl = tls_context(tls)
    door = bound or bind(host, port)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    started = asyncio.create_task(server.listening.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if server.started:
            ready(host, door.getsockname()[1])
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        started.cancel()
        stopping.cancel()
        # Streams see this and end; then the server has nothing to wait for.
        app.state.house.closing.set()
        server.should_exit = True
        await serving
        door.close()


class _Server(uvicorn.Server):
    """Uvicorn with a sign that it listens, and without its signal handlers: ``up`` has its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return what a certificate makes of a connection.

    Raises:
        InvalidInput: It cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            "The TLS certificate cannot be used",
            subject=str(tls.certificate),
            why=str(error),
            next_step="Give a certificate chain and its unencrypted key, both as PEM files.",
        ) from error
    return context


def _explained(error: OSError, address: str) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            "The address is in use",
            subject=address,
            why="another program listens there",
            next_step="Stop that program, or choose another address with --listen HOST:PORT.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Refused(
            "This user may not listen there",
            subject=address,
            why=error.strerror or "",
            next_step="Choose a port above 1023 with --listen HOST:PORT.",
        )
    return InvalidInput(
        "The listen address cannot be used",
        subject=address,
        why=error.strerror or str(error),
        next_step="Use --listen with an address of this machine, such as 127.0.0.1:7700.",
    )
