"""The door: what every request passes first, dashboard and API alike.

It checks the Host header, sends the dashboard's paths to the dashboard, puts the security headers
on, writes one log line, and turns what nobody expected into a problem without internals.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.api import metrics, problems
from turnout.base import clock
from turnout.base.errors import Failed, TurnoutError

_log = structlog.get_logger("turnout.api")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Internal(Failed):
    """Something that nobody expected; the log has the rest."""

    problem = "internal"


class AllowedHosts:
    """The host names that this server answers to.

    A page of another origin can make its own name point at 127.0.0.1 (DNS rebinding) and then
    talk to us with the browser's blessing, but it cannot choose what Host says.

    Args:
        listen: The address that the server listens on.
        names: Further names, such as the server's public one.
    """

    def __init__(self, listen: str = "127.0.0.1", names: Iterable[str] = ()) -> None:
        self._names = {"localhost", listen.lower()} | {name.lower() for name in names}
        # Whoever listens beyond loopback is asked for by any of the machine's addresses; an
        # attacker's page comes by a name, never by a bare address.
        self._any_address = not is_loopback(listen)

    def allows(self, host: str) -> bool:
        """Return whether the value of a Host header, port included, is one of ours."""
        name = _without_port(host).lower().removesuffix(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def is_loopback(listen: str) -> bool:
    """Return whether an address or name to listen on stays within this machine."""
    if listen == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen).is_loopback
    except ValueError:
        return False


class Door:
    """The outermost application.

    Args:
        app: The API.
        hosts: Which Host headers are answered.
        pages: The dashboard, for every path outside ``/api/``; without it they are not found.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, pages: ASGIApp | None = None) -> None:
        self._app = app
        self._hosts = hosts
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # There are none here, and the doors behind this one look at HTTP only.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = clock.monotonic()
        status = 0

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._answer(scope, receive, send_dressed)
        except ClientDisconnect:
            # The client hung up; there is nobody left to tell.
            return
        except TurnoutError as error:
            if status:
                raise
            await problems.answer(error, scope["path"])(scope, receive, send_dressed)
        except HTTPException as error:
            if status:
                raise
            response = problems.answer_http(error, scope["method"], scope["path"])
            await response(scope, receive, send_dressed)
        except Exception:
            _log.exception("unexpected", method=scope["method"], path=scope["path"])
            if status:
                # Half an answer is out; only a broken connection can say that it is not whole.
                raise
            await problems.answer(
                Internal(
                    "The server made a mistake",
                    next_step="The server's log says more; please report it.",
                ),
                scope["path"],
            )(scope, receive, send_dressed)
        finally:
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((clock.monotonic() - started) * 1000, 1),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or not self._hosts.allows(hosts[0]):
            raise problems.Misdirected(
                "This server does not answer to that host name",
                subject=hosts[0][:100] if hosts else "",
                why="a name that is not expected may have been made to point here by a stranger",
                next_step="Use the address that the server printed, or start it with --name and this name.",
            )
        path = scope["path"]
        if self._pages is None or path in ("/api", metrics.PATH) or path.startswith("/api/"):
            await self._app(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]
