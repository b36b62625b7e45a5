"""The pages: overview, login, the live fragment, the stream behind it, and the static files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.base import clock
from turnout.base.errors import TurnoutError
from turnout.monitoring.events import EventLog
from turnout.security.sessions import Sessions
from turnout.security.tokens import Tokens
from turnout.web import overview, sessions
from turnout.web.ports import Coordinator
from turnout.wire import sse

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HOME = Path(__file__).parent
_SHOWN = 20
_LOOKED_AT = 200
_QUIET_BATCHES = 5
"""The event log yields an empty batch every two seconds; a sign of life goes out every ten."""


class Pages:
    """The dashboard's pages.

    Args:
        coordinator: What is live and what is under way.
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
        self._tokens = tokens
        self._sessions = sessions
        self._closing = closing
        self._templates = Environment(
            loader=FileSystemLoader(_HOME / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = version

    def app(self) -> ASGIApp:
        """Return the dashboard as an application."""
        return Starlette(
            routes=[
                Route("/", self.overview),
                Route("/login", self.login, methods=["GET", "POST"]),
                Route("/logout", self.logout, methods=["POST"]),
                Route("/fragments/overview", self.fragment),
                Route("/changes", self.changes),
                Mount("/static", StaticFiles(directory=_HOME / "static")),
            ],
            middleware=[Middleware(_PageHeaders)],
            exception_handlers={HTTPException: self._http_error, TurnoutError: self._known_error},
        )

    async def overview(self, request: Request) -> Response:
        """Show what is live where."""
        if await sessions.account_of(request, self._sessions) is None:
            return RedirectResponse("/login", status_code=303)
        # Taken before the page is read, so that the stream misses nothing after it.
        seq = await asyncio.to_thread(self._events.last_seq)
        return self._render("overview.html", seq=seq, **await self._facts())

    async def fragment(self, request: Request) -> Response:
        """Show the live part of the overview again."""
        if await sessions.account_of(request, self._sessions) is None:
            return self._render("message.html", 401, title="Logged out", text="Log in again.")
        return self._render("fragments/overview.html", **await self._facts())

    async def login(self, request: Request) -> Response:
        """Ask for a token, or exchange a token or a one-time code for a session."""
        if request.method == "POST":
            sessions.require_own_origin(request)
            account = await asyncio.to_thread(
                self._tokens.verify, await sessions.form_field(request, "token")
            )
            if account is None:
                return self._render("login.html", 401, mistake="This token is not valid.")
            secret = await asyncio.to_thread(self._sessions.open, account)
            response: Response = RedirectResponse("/", status_code=303)
            sessions.set_cookie(request, response, secret)
            return response
        code = request.query_params.get("code")
        if code is None:
            return self._render("login.html", mistake="")
        opened = await asyncio.to_thread(self._sessions.open_by_code, code[:200])
        if opened is None:
            return self._render(
                "login.html", 401, mistake="This link was used already or is too old."
            )
        # A page of our own, not a redirect: the link may stand in another site's page, and a
        # strict cookie is not sent along the redirects of such a click.
        response = self._render("entering.html")
        sessions.set_cookie(request, response, opened)
        return response

    async def logout(self, request: Request) -> Response:
        """End the session."""
        sessions.require_own_origin(request)
        return await sessions.end(request, self._sessions)

    async def changes(self, request: Request) -> Response:
        """Send the number of every event, as a sign to look again."""
        if await sessions.account_of(request, self._sessions) is None:
            return self._render("message.html", 401, title="Logged out", text="Log in again.")
        sent = request.headers.get("last-event-id") or request.query_params.get("after", "")
        known = sent.isascii() and sent.isdecimal() and len(sent) < 17
        after = int(sent) if known else await asyncio.to_thread(self._events.last_seq)
        return StreamingResponse(
            self._signs(after),
            media_type=sse.MEDIA_TYPE,
            headers={"X-Accel-Buffering": "no"},
        )

    async def _signs(self, after: int) -> AsyncIterator[bytes]:
        yield sse.frame(str(after), kind="hello", retry_ms=1000)
        quiet = 0
        async with aclosing(_stoppable(self._events.follow(after), self._closing)) as batches:
            async for last in batches:
                if last is not None:
                    quiet = 0
                    yield sse.frame(str(last), kind="change", seq=last)
                    continue
                quiet += 1
                if quiet % _QUIET_BATCHES == 0:
                    yield sse.HEARTBEAT

    async def _facts(self) -> dict[str, Any]:
        now = clock.now()
        environments = await self._coordinator.environments()
        page = await self._coordinator.list(
            project=None, environment=None, status=None, cursor=None, limit=_LOOKED_AT
        )
        return {
            "projects": overview.cards(environments, page.items, now),
            "deployments": overview.rows(page.items[:_SHOWN], now),
        }

    def _render(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def _http_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = {404: "There is no such page.", 405: "That is not possible here."}
        return self._render(
            "message.html",
            error.status_code,
            title=str(error.status_code),
            text=text.get(error.status_code, "The request cannot be answered."),
        )

    def _known_error(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, TurnoutError)
        return self._render(
            "message.html", error.status, title=error.what, text=f"{error.why} {error.next_step}"
        )


async def _stoppable(
    source: AsyncIterator[list[Any]], closing: asyncio.Event
) -> AsyncGenerator[int | None, None]:
    """Yield the last number of each batch, None for an empty one, until *closing* is set."""
    bell = asyncio.ensure_future(closing.wait())
    step: asyncio.Future[list[Any]] | None = None
    try:
        while True:
            step = asyncio.ensure_future(source.__anext__())
            both: set[asyncio.Future[Any]] = {bell, step}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if bell.done():
                return
            batch = step.result()
            yield batch[-1].seq if batch else None
    finally:
        bell.cancel()
        if step is not None and not step.done():
            step.cancel()
            await asyncio.gather(step, return_exceptions=True)


class _PageHeaders:
    """Puts the pages' own content policy on; the door adds what is common to all answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (b"content-security-policy", CSP.encode()),
                    # Without a referrer browsers send "Origin: null" with our own forms too.
                    (b"referrer-policy", b"same-origin"),
                ]
                if scope["path"].startswith("/static/"):
                    headers.append((b"cache-control", b"no-cache"))
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, dressed)
