"""The dashboard as one application: its pages, the stream behind them, and the static files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.monitoring.events import EventLog
from turnout.security.sessions import Sessions
from turnout.security.tokens import Account, Tokens
from turnout.web import overview
from turnout.web.deployments import DEPLOYMENT, DeploymentPages
from turnout.web.entering import Entrance
from turnout.web.headers import CSP, PageHeaders
from turnout.web.overview import Scope
from turnout.web.ports import Coordinator, Pulsed
from turnout.web.shell import HOME, Shell
from turnout.web.signs import signs
from turnout.wire import sse
from turnout.wire.api import DeploymentDetail, EnvironmentDocument

__all__ = ["CSP", "Pages"]

_SHOWN = 20
_LOOKED_AT = 200
_MOST_DETAILS = 24
"""Deployments under way that are read one by one for their weight."""


class Pages:
    """The dashboard's pages.

    Args:
        coordinator: What is live and what is under way; may be Evidenced and Pulsed as well.
        events: When to look again.
        tokens: Who may log in.
        sessions: Who has.
        version: The server's, shown at the foot.
        closing: Ends the streams when the server stops.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        events: EventLog,
        tokens: Tokens,
        sessions: Sessions,
        *,
        version: str,
        closing: asyncio.Event,
    ) -> None:
        self._coordinator = coordinator
        self._events = events
        self._closing = closing
        self._shell = Shell(sessions, version)
        self._entrance = Entrance(self._shell, tokens)
        self._deployments = DeploymentPages(self._shell, coordinator, events)

    def app(self) -> ASGIApp:
        """Return the dashboard as an application."""
        guarded = self._shell.guarded
        return Starlette(
            routes=[
                Route("/", guarded(self.overview, is_page=True)),
                Route("/fragments/overview", guarded(self.fragment)),
                Route("/changes", guarded(self.changes)),
                *self._entrance.routes(),
                *self._deployments.routes(),
                Mount("/static", StaticFiles(directory=HOME / "static")),
            ],
            middleware=[Middleware(PageHeaders)],
            exception_handlers={
                HTTPException: self._shell.http_error,
                TurnoutError: self._shell.known_error,
            },
        )

    async def overview(self, request: Request, _account: Account) -> Response:
        """Show what is live where."""
        # Taken before the page is read, so that the stream misses nothing after it.
        seq = await asyncio.to_thread(self._events.last_seq)
        return self._shell.page(request, "overview.html", seq=seq, **await self._facts())

    async def fragment(self, _request: Request, _account: Account) -> Response:
        """Show the live part of the overview again."""
        return self._shell.fragment("fragments/overview.html", **await self._facts())

    async def changes(self, request: Request, _account: Account) -> Response:
        """Send the number of every event, or of every one of a deployment."""
        sent = request.headers.get("last-event-id") or request.query_params.get("after", "")
        known = sent.isascii() and sent.isdecimal() and len(sent) < 17
        after = int(sent) if known else await asyncio.to_thread(self._events.last_seq)
        name = request.query_params.get("deployment")
        only = name if name is not None and re.fullmatch(DEPLOYMENT, name) else None
        return StreamingResponse(
            signs(after, self._events.follow(after, deployment=only), self._closing),
            media_type=sse.MEDIA_TYPE,
            headers={"X-Accel-Buffering": "no"},
        )

    async def _facts(self) -> dict[str, Any]:
        now = clock.now()
        environments = await self._coordinator.environments()
        page = await self._coordinator.list(
            project=None, environment=None, status=None, cursor=None, limit=_LOOKED_AT
        )
        return {
            "projects": overview.cards(
                environments,
                page.items,
                now,
                details=await self._under_way(environments),
                pulses=await self._pulses(environments),
            ),
            "deployments": overview.rows(page.items[:_SHOWN], now),
        }

    async def _under_way(
        self, environments: Sequence[EnvironmentDocument]
    ) -> dict[str, DeploymentDetail]:
        found = {}
        for name in [one.deployment for one in environments if one.deployment][:_MOST_DETAILS]:
            with suppress(TurnoutError):
                found[name] = await self._coordinator.show(name)
        return found

    async def _pulses(
        self, environments: Sequence[EnvironmentDocument]
    ) -> dict[Scope, Sequence[float]]:
        if not isinstance(self._coordinator, Pulsed):
            return {}
        found = {}
        for one in environments:
            with suppress(TurnoutError):
                found[one.project, one.environment] = await self._coordinator.pulse(
                    one.project, one.environment
                )
        return found
