"""Access: whose request it is, by its bearer token, before a byte of the body is read.

The API takes no cookies, so no other site can make a browser act here.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from turnout.api import problems
from turnout.base.errors import Unauthenticated
from turnout.security.tokens import Account, Tokens

OPEN_PATHS = frozenset({"/api/v1/health"})
_SCOPE_KEY = "turnout.account"


class Access:
    """Lets requests with a good token through, with the account in the scope.

    Args:
        app: What is behind.
        tokens: The tokens that are good.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).getlist("authorization")
        kind, _, text = (sent[0] if len(sent) == 1 else "").partition(" ")
        account = None
        if kind.lower() == "bearer":
            account = await asyncio.to_thread(self._tokens.verify, text.strip())
        if account is None:
            refusal = _refusal(bool(sent))
            challenge = 'Bearer realm="turnout"' + (', error="invalid_token"' if sent else "")
            response = problems.answer(refusal, scope["path"], {"WWW-Authenticate": challenge})
            await response(scope, receive, send)
            return
        scope[_SCOPE_KEY] = account
        await self._app(scope, receive, send)


def account_of(scope: Scope) -> Account | None:
    """Return the account that :class:`Access` found, None for an open path."""
    account = scope.get(_SCOPE_KEY)
    return account if isinstance(account, Account) else None


def _signed_in(request: Request) -> Account:
    account = account_of(request.scope)
    if account is None:
        raise _refusal(sent=False)
    return account


By = Annotated[Account, Depends(_signed_in)]
"""The account behind a request, for endpoints."""


def _refusal(sent: bool) -> Unauthenticated:
    return Unauthenticated(
        "The token is not valid" if sent else "A token is needed",
        why="it is malformed, unknown, expired or revoked" if sent else "",
        next_step="Send 'Authorization: Bearer <token>'; 'turnout up' saves one for its user.",
    )
