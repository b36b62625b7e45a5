"""The pages at the entrance: logging in and out, and how the pages look to a browser."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from turnout.security.tokens import Tokens
from turnout.web import sessions
from turnout.web.shell import THEME_COOKIE, THEMES, Shell

_OWN_PAGE = re.compile(r"/(deployments/[a-z0-9][a-z0-9-]{0,39})?\Z|/login\Z")
_YEAR_S = 365 * 86400


class Entrance:
    """Login, logout and the theme.

    Args:
        shell: Renders.
        tokens: Who may log in.
    """

    def __init__(self, shell: Shell, tokens: Tokens) -> None:
        self._shell = shell
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/theme", self.theme, methods=["POST"]),
        ]

    async def login(self, request: Request) -> Response:
        """Ask for a token, or exchange a token or a one-time code for a session."""
        if request.method == "POST":
            return await self._by_token(request)
        code = request.query_params.get("code")
        if code is None:
            return self._shell.page(request, "login.html", mistake="")
        opened = await asyncio.to_thread(self._shell.sessions.open_by_code, code[:200])
        if opened is None:
            return self._mistake(request, "This link was used already or is too old.")
        # A page of our own, not a redirect: the link may stand in another site's page, and a
        # strict cookie is not sent along the redirects of such a click.
        response = self._shell.page(request, "entering.html")
        sessions.set_cookie(request, response, opened)
        return response

    async def logout(self, request: Request) -> Response:
        """End the session."""
        sessions.require_own_origin(request)
        return await sessions.end(request, self._shell.sessions)

    async def theme(self, request: Request) -> Response:
        """Remember how this browser wants the pages to look."""
        sessions.require_own_origin(request)
        fields = await sessions.form_fields(request)
        wanted, back = fields.get("theme", ""), fields.get("back", "/")
        # Only ever to a page of our own: a redirect to what a form says leads anywhere.
        response = RedirectResponse(back if _OWN_PAGE.match(back) else "/", status_code=303)
        if wanted in THEMES:
            response.set_cookie(
                THEME_COOKIE, wanted, max_age=_YEAR_S, path="/", httponly=True, samesite="strict",
                secure=request.url.scheme == "https",
            )  # fmt: skip
        return response

    async def _by_token(self, request: Request) -> Response:
        sessions.require_own_origin(request)
        account = await asyncio.to_thread(
            self._tokens.verify, await sessions.form_field(request, "token")
        )
        if account is None:
            return self._mistake(request, "This token is not valid.")
        secret = await asyncio.to_thread(self._shell.sessions.open, account)
        response: Response = RedirectResponse("/", status_code=303)
        sessions.set_cookie(request, response, secret)
        return response

    def _mistake(self, request: Request, text: str) -> Response:
        return self._shell.page(request, "login.html", 401, mistake=text)
