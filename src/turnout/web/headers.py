"""The pages' own headers: a content policy under which nothing but our own files runs."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class PageHeaders:
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
