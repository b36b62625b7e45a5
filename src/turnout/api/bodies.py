"""Bodies: how long they may be, how long they may take, and of which type they are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnout.api import problems
from turnout.packages.limits import DEFAULT
from turnout.packages.segments import DEFAULT_LIMITS

MANIFEST_TYPE = "application/vnd.turnout.manifest"
SEGMENT_TYPE = "application/vnd.turnout.segment"
BINARY_TYPE = "application/octet-stream"
JSON_TYPE = "application/json"

MANIFEST_BYTES = DEFAULT.manifest_bytes
SEGMENT_BYTES = DEFAULT_LIMITS.wire_bytes
JSON_BYTES = 2 << 20

_SILENCE_S = 30.0
"""A client that sends nothing for so long in the middle of a body is given up."""
_MANIFEST_PATH = re.compile(r"/api/v1/projects/[^/]+/uploads/?")
_SEGMENT_PATH = re.compile(r"/api/v1/projects/[^/]+/uploads/[^/]+/segments/?")


class Bodies:
    """Stops bodies that are too long or too slow.

    Args:
        app: What is behind.
        silence: Seconds without a byte after which a body is given up.
    """

    def __init__(self, app: ASGIApp, silence: float = _SILENCE_S) -> None:
        self._app = app
        self._silence = silence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = limit_of(scope["path"])
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            await _drain(receive, limit, self._silence)
            await problems.answer(_too_large(limit), scope["path"])(scope, receive, send)
            return
        if headers.get("content-encoding", "identity") != "identity":
            raise problems.WrongMediaType(
                "The body is encoded", next_step="Send it without Content-Encoding."
            )
        taken = 0
        complete = False

        async def receive_limited() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(self._silence):
                    message = await receive()
            except TimeoutError:
                # An HTTPException is what the framework lets pass from the reading of a body.
                raise HTTPException(408, headers={"Connection": "close"}) from None
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if taken > limit:
                    raise HTTPException(413, headers={"Connection": "close"})
            return message

        await self._app(scope, receive_limited, send)


def limit_of(path: str) -> int:
    """Return how many bytes a body sent to *path* may have."""
    if _MANIFEST_PATH.fullmatch(path):
        return MANIFEST_BYTES
    if _SEGMENT_PATH.fullmatch(path):
        return SEGMENT_BYTES
    return JSON_BYTES


def of_type(*allowed: str) -> Callable[[Request], None]:
    """Return a dependency that takes bodies of the given media types only.

    It looks before the body is validated, so that a wrong type is not reported as a wrong value.
    """

    def check(request: Request) -> None:
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent not in allowed:
            raise problems.WrongMediaType(
                "The content type is not the expected one",
                subject=sent[:100],
                next_step=f"Send 'Content-Type: {allowed[0]}'.",
            )

    return check


takes_json = Depends(of_type(JSON_TYPE))


async def _drain(receive: Receive, limit: int, silence: float) -> None:
    # Answering while the client still sends resets the connection, and the client never sees
    # why.  A body not much too long is therefore read to its end and thrown away.
    left = 2 * limit
    while left > 0:
        try:
            async with asyncio.timeout(silence):
                message = await receive()
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _too_large(limit: int) -> problems.TooLarge:
    return problems.TooLarge(
        "The body is longer than this address takes",
        why=f"at most {limit} bytes are taken",
        next_step="Send less.",
        facts={"limit_bytes": limit},
    )
