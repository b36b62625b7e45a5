"""Reading HTTP/1.1 answers off a stream, strictly: a truncated one is an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass


class Broken(Exception):
    """The answer is not a whole HTTP answer; the text says in which way."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers; header names are in lower case, the last of a name wins."""

    status: int
    headers: dict[str, str]

    @property
    def release(self) -> str:
        """The release that answered, empty if the answer does not say."""
        return self.headers.get("x-turnout-release", "")

    @property
    def keeps_open(self) -> bool:
        """Whether another request may follow on the connection."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        bodiless = self.status in (204, 304)
        return (framed or bodiless) and self.headers.get("connection", "").lower() != "close"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read the head of an answer, past any 1xx before it.

    Raises:
        Broken: The connection ended first, or what came is not HTTP/1.
    """
    while True:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Broken("closed inside the head" if error.partial else "no answer") from None
        except asyncio.LimitOverrunError:
            raise Broken("the head is too long") from None
        head = _parse_head(raw)
        if head.status >= 200:
            return head


async def body_pieces(
    reader: asyncio.StreamReader, head: Head, limit: int = 65536
) -> AsyncIterator[bytes]:
    """Yield the body of the answer in pieces of at most *limit* bytes.

    Raises:
        Broken: It ends before its declared end.
    """
    if head.status in (204, 304):
        return
    if head.headers.get("transfer-encoding", "").lower() == "chunked":
        async for piece in _chunked(reader, limit):
            yield piece
    elif "content-length" in head.headers:
        async for piece in _exactly(reader, int(head.headers["content-length"]), limit):
            yield piece
    else:
        while piece := await reader.read(limit):
            yield piece


def _parse_head(raw: bytes) -> Head:
    first, *rest = raw[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise Broken("not an HTTP answer")
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise Broken("a header without a colon")
        headers[name.lower()] = value.strip()
    return Head(int(parts[1]), headers)


async def _exactly(reader: asyncio.StreamReader, left: int, limit: int) -> AsyncIterator[bytes]:
    while left > 0:
        piece = await reader.read(min(left, limit))
        if not piece:
            raise Broken("the body ended early")
        left -= len(piece)
        yield piece


async def _chunked(reader: asyncio.StreamReader, limit: int) -> AsyncIterator[bytes]:
    try:
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            async for piece in _exactly(reader, size, limit):
                yield piece
            if await reader.readexactly(2) != b"\r\n":
                raise Broken("a chunk is longer than declared")
        while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
            pass
    except asyncio.IncompleteReadError:
        raise Broken("the body ended early") from None
    except ValueError:
        raise Broken("a chunk without a size") from None
