"""Doors: how a request becomes a checked message, and how long anybody waits for its answer."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from turnout.base.errors import Aborted, InvalidInput, Unauthenticated, Unreachable

MESSAGE_LIMIT = 20 << 20
"""Bytes of one message; the largest legal one has 512 variables of 32 KiB."""
MANIFEST_LIMIT = 128 << 20
"""Bytes of a manifest; one of 56,000 files has about 10 MB."""

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


async def body(request: Request, limit: int) -> bytes:
    """Return the whole body of a request.

    Raises:
        InvalidInput: It is longer than *limit* bytes.
    """
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise InvalidInput("The request is too long", why=f"at most {limit} bytes are read")
        pieces.append(piece)
    return b"".join(pieces)


async def message(request: Request, model: type[Model]) -> Model:
    """Return the *model* that a request carries.

    Raises:
        InvalidInput: It carries something else; the subject names the field, never its value.
    """
    data = await body(request, MESSAGE_LIMIT)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidInput(
            "The request is not valid",
            subject=".".join(str(part) for part in first["loc"]) or "body",
            why=str(first["msg"])[:300],
        ) from None


async def while_listening(
    request: Request,
    work: Coroutine[Any, Any, Result] | Awaitable[Result],
    closing: Callable[[], Awaitable[object]],
) -> Result:
    """Return the result of *work*, which is cancelled when nobody waits for it any more.

    Raises:
        Aborted: The peer hung up.
        Unreachable: The agent is ending; the same request will do again soon.
    """
    doing = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    ending = asyncio.ensure_future(closing())
    try:
        await asyncio.wait({doing, gone, ending}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        if ending.done():
            raise Unreachable("The agent is ending", next_step="Ask again when it is back.")
        raise Aborted("The peer hung up")
    finally:
        for task in (doing, gone, ending):
            task.cancel()
        await asyncio.gather(doing, gone, ending, return_exceptions=True)


async def anyone(_request: Request) -> None:
    """Authenticate nobody further: the transport let only its owner connect."""


def bearer(token: str) -> Callable[[Request], Awaitable[None]]:
    """Return an ``authenticate`` that asks for *token* as an HTTP bearer token."""
    wanted = f"Bearer {token}".encode()

    async def authenticate(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, wanted):
            raise Unauthenticated("The agent does not know this peer")

    return authenticate


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
