"""Idempotency: a POST that is sent twice with one key happens once.

``Idempotency-Key`` follows draft-ietf-httpapi-idempotency-key-header: 1 to 255 visible ASCII
characters, chosen by the client; the same key with the same request gets the same answer, with
``Idempotency-Replayed: true``.

What a crash can do: the row that claims a key is committed before the request runs, the answer
after it.  A server that dies between the two leaves an orphan.  The next run asks *recover* whether
the deployment was made, and answers with it; otherwise it runs the request again.  Uploads and the
acts on a deployment may run twice without harm; only a ``retry`` of an ended deployment that was
cut off in this window may start a second one, which then waits its turn behind the first.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.api import problems
from turnout.api.access import account_of
from turnout.api.keybook import Answer, KeyBook
from turnout.base.errors import Conflict, InvalidInput

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("content-type", "location")

Recover = Callable[[str, bytes, datetime], Awaitable[Answer | None]]
"""Given path, body and time of an orphaned request: its answer, if it was carried out."""


class Idempotency:
    """Runs each keyed POST once.

    Args:
        app: What is behind.
        book: The keys that were used.
        recover: Looks up what became of a request that a crash cut off.
    """

    def __init__(self, app: ASGIApp, book: KeyBook, recover: Recover) -> None:
        self._app = app
        self._book = book
        self._recover = recover

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = account_of(scope)
        if account is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = headers.getlist(HEADER)
        if not sent:
            await self._app(scope, receive, send)
            return
        if len(sent) > 1 or not _KEY.fullmatch(sent[0]):
            raise InvalidInput(
                "The idempotency key is not valid",
                why="it has 1 to 255 visible ASCII characters, and there is one",
                next_step="Use a UUID, for example.",
            )
        body = await _read(receive)
        request = _digest(scope, headers.get("content-type", ""), body)
        try:
            claim = await asyncio.to_thread(self._book.claim, account.name, sent[0], request)
        except Conflict as error:
            response = problems.answer(error, scope["path"], {"Retry-After": "1"})
            await response(scope, receive, send)
            return
        if isinstance(claim, Answer):
            await _replay(claim, scope, receive, send)
            return
        if claim.orphaned_since is not None:
            known = await self._recover(scope["path"], body, claim.orphaned_since)
            if known is not None:
                await asyncio.to_thread(self._book.keep, claim, known)
                await _replay(known, scope, receive, send)
                return
        recorder = _Recorder(body, receive, send)
        try:
            await self._app(scope, recorder.receive, recorder.hold)
        except Exception:
            await asyncio.to_thread(self._book.forget, claim)
            raise
        # Kept first, sent second: who has seen the answer finds it again.
        await asyncio.to_thread(self._book.keep, claim, recorder.answer())
        await recorder.release()


class _Recorder:
    """Gives a read body to the application, and holds its answer back until it is kept."""

    def __init__(self, body: bytes, receive: Receive, send: Send) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._send = send
        self._held: list[Message] = []

    async def receive(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def hold(self, message: Message) -> None:
        self._held.append(message)

    async def release(self) -> None:
        for message in self._held:
            await self._send(message)

    def answer(self) -> Answer:
        start = next(held for held in self._held if held["type"] == "http.response.start")
        headers = {name.decode("latin-1").lower(): value for name, value in start["headers"]}
        return Answer(
            status=start["status"],
            headers={
                name: headers[name].decode("latin-1") for name in _KEPT_HEADERS if name in headers
            },
            body=b"".join(held.get("body", b"") for held in self._held),
        )


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise problems.BadRequest("The connection ended in the middle of the body")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _digest(scope: Scope, content_type: str, body: bytes) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    head = "\0".join((scope["method"], scope["path"], query, content_type))
    return hashlib.sha256(head.encode("utf-8", "replace") + b"\0" + body).hexdigest()


async def _replay(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(answer.body, status_code=answer.status, headers=answer.headers)
    response.headers["Idempotency-Replayed"] = "true"
    await response(scope, receive, send)
