"""One HTTP question to one address: no redirects followed, no proxy, nothing read without bound.

A client of its own, because the whole need is one GET over TCP or a unix socket, and because
an app under probe is not trusted to answer sanely.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import h11

BODY_LIMIT = 1 << 20
"""Bytes of an answer that are read and searched."""


@dataclass(frozen=True)
class Question:
    """What is asked, and what answer is good.

    Attributes:
        path: The request target, from the slash on.
        expect: The status that is good.
        contains: Text that the first mebibyte of the body must hold, if any.
        timeout: Seconds for the whole exchange.
        host: The value of the Host header.
        headers: Further headers.
    """

    path: str
    expect: int = 200
    contains: str | None = None
    timeout: float = 5.0
    host: str = "localhost"
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        good: Whether it was as expected.
        reason: Why not; empty if it was.
        status: The HTTP status, if there was one.
        latency_ms: Milliseconds from the start to the end of the exchange.
    """

    good: bool
    reason: str
    status: int | None
    latency_ms: float


async def ask(address: str, question: Question) -> Answer:
    """Ask *question* once at ``HOST:PORT`` or ``unix:/path``; never raises for what it meets."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(question.timeout):
            status, body = await _exchange(address, question)
    except TimeoutError:
        return _bad(begun, f"no answer within {question.timeout:g} s")
    except h11.RemoteProtocolError as error:
        return _bad(begun, f"the answer is no valid HTTP: {error}")
    except OSError as error:
        return _bad(begun, f"no connection: {error.strerror or error}")
    if status != question.expect:
        return _bad(begun, f"status {status}, expected {question.expect}", status)
    if question.contains is not None and question.contains.encode() not in body:
        return _bad(begun, f"the body does not contain {question.contains[:80]!r}", status)
    return Answer(True, "", status, _milliseconds(begun))


async def _exchange(address: str, question: Question) -> tuple[int, bytes]:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=64 << 10)
        headers = {
            "Host": question.host,
            "User-Agent": "turnout-probe",
            "Accept": "*/*",
            "Connection": "close",
            **(question.headers or {}),
        }
        request = h11.Request(method="GET", target=question.path, headers=list(headers.items()))
        writer.write(connection.send(request) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return await _answer(connection, reader, want_body=question.contains is not None)
    finally:
        # Abort: an endless answer must not keep the socket open while we say goodbye.
        writer.transport.abort()


async def _answer(
    connection: h11.Connection, reader: asyncio.StreamReader, *, want_body: bool
) -> tuple[int, bytes]:
    status, body, heard = 0, bytearray(), False
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(1 << 16)
            heard = heard or bool(data)
            if not heard:
                raise ConnectionResetError("it was closed before an answer")
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            if not want_body:
                return status, b""
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) >= BODY_LIMIT:
                return status, bytes(body[:BODY_LIMIT])
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise ConnectionResetError("it was closed before the end of an answer")


def _bad(begun: float, reason: str, status: int | None = None) -> Answer:
    return Answer(False, reason, status, _milliseconds(begun))


def _milliseconds(begun: float) -> float:
    return round((time.perf_counter() - begun) * 1000, 3)
