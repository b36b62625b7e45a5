"""Logging in and out: a token or a one-time code becomes a cookie.

The cookie is HttpOnly and SameSite=Strict, forms are taken from our own origin only, and a token
is read from a form's body, never from an address.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from turnout.base.errors import InvalidInput, Refused
from turnout.security.sessions import LIFETIME, Sessions
from turnout.security.tokens import Account

_MOST_FORM_BYTES = 32 << 10
"""A reason of 2,000 characters, each of them up to twelve bytes when it is URL-encoded."""


def cookie_name(request: Request) -> str:
    """Return the cookie's name; over TLS one that binds it to this host and to TLS."""
    return "__Host-turnout_session" if request.url.scheme == "https" else "turnout_session"


async def account_of(request: Request, sessions: Sessions) -> Account | None:
    """Return whose browser it is, None if it is not logged in."""
    secret = request.cookies.get(cookie_name(request), "")
    return await asyncio.to_thread(sessions.verify, secret) if secret else None


def set_cookie(request: Request, response: Response, secret: str) -> None:
    """Give the browser the session."""
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


async def end(request: Request, sessions: Sessions) -> Response:
    """Close the browser's session and lead to the login page."""
    secret = request.cookies.get(cookie_name(request), "")
    if secret:
        await asyncio.to_thread(sessions.close, secret)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(cookie_name(request), path="/", httponly=True, samesite="strict")
    return response


def require_own_origin(request: Request) -> None:
    """Check that a form was sent by one of our own pages.

    Raises:
        Refused: Another site sent it, or a browser that does not say who did.
    """
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    fetched_by = request.headers.get("sec-fetch-site", "same-origin")
    if origin != own or fetched_by != "same-origin":
        raise Refused(
            "The form was not sent by this dashboard",
            subject=urlsplit(origin or "").netloc[:100],
            next_step="Open the dashboard's own address and try again.",
        )


async def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a small URL-encoded form; of several with a name the first.

    Raises:
        InvalidInput: It is too large or no such form.
    """
    taken = b""
    async for part in request.stream():
        taken += part
        if len(taken) > _MOST_FORM_BYTES:
            raise InvalidInput("The form is too large", next_step="Say it in fewer words.")
    try:
        values = parse_qs(taken.decode("ascii"), max_num_fields=8, errors="strict")
    except ValueError as error:
        raise InvalidInput("The form cannot be read", why="it is not URL-encoded") from error
    return {name: found[0].strip() for name, found in values.items()}


async def form_field(request: Request, name: str) -> str:
    """Return a field of a form as :func:`form_fields`, empty if there is none."""
    try:
        return (await form_fields(request)).get(name, "")
    except InvalidInput:
        return ""
