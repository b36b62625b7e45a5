"""The shell of every page: templates, the browser's account and theme, and errors as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from turnout.base.errors import TurnoutError
from turnout.security.sessions import Sessions
from turnout.security.tokens import Account
from turnout.web import sessions

HOME = Path(__file__).parent
THEME_COOKIE = "turnout_theme"
THEMES = ("auto", "light", "dark")

Handler = Callable[[Request, Account], Awaitable[Response]]


@dataclass(frozen=True)
class Notice:
    """What just happened, said at the top of the page."""

    tone: Literal["good", "bad"]
    text: str
    more: str = ""


class Shell:
    """Renders pages and fragments, for who is logged in.

    Args:
        sessions: Who is.
        version: The server's, shown at the foot.
    """

    def __init__(self, sessions: Sessions, version: str) -> None:
        self.sessions = sessions
        self._templates = Environment(
            loader=FileSystemLoader(HOME / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = version

    def page(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        notice: Notice | None = None,
        **values: Any,
    ) -> Response:
        """Return a page."""
        chosen = request.cookies.get(THEME_COOKIE, "auto")
        values |= {
            "notice": notice,
            "theme": chosen if chosen in THEMES else "auto",
            "themes": THEMES,
            "here": request.url.path if request.method == "GET" else "/",
        }
        return HTMLResponse(self._templates.get_template(template).render(values), status)

    def fragment(self, template: str, **values: Any) -> Response:
        """Return a part of a page."""
        return HTMLResponse(self._templates.get_template(template).render(values))

    def guarded(self, handler: Handler, *, is_page: bool = False) -> Any:
        """Return an endpoint that calls *handler* with the account of the browser.

        Who is not logged in is led to the login by a page, and told so (401) by anything else.
        """

        async def endpoint(request: Request) -> Response:
            account = await sessions.account_of(request, self.sessions)
            if account is None and is_page:
                return RedirectResponse("/login", status_code=303)
            if account is None:
                return self.message(request, 401, "Logged out", "Log in again.")
            return await handler(request, account)

        return endpoint

    def message(self, request: Request, status: int, title: str, text: str) -> Response:
        """Return a page with nothing but a message."""
        return self.page(request, "message.html", status, title=title, text=text)

    def http_error(self, request: Request, error: Exception) -> Response:
        """Answer what the framework refuses."""
        assert isinstance(error, HTTPException)
        text = {404: "There is no such page.", 405: "That is not possible here."}.get(
            error.status_code, "The request cannot be answered."
        )
        return self.message(request, error.status_code, str(error.status_code), text)

    def known_error(self, request: Request, error: Exception) -> Response:
        """Answer an error that explains itself."""
        assert isinstance(error, TurnoutError)
        return self.message(request, error.status, error.what, f"{error.why} {error.next_step}")
