"""The kinds of clients: each makes one request in its own way and reads the answer to its end.

They raise :class:`load.answers.Broken`, :class:`OSError` or :class:`TimeoutError`; what an
answer means is judged by the generator.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import dataclass, field

from load.answers import Answer, Head, body_pieces, read_head
from load.targets import Kind, Target

UPLOAD = bytes(range(256)) * 16
"""What a slow upload sends: 4 KiB."""


@dataclass
class Pace:
    """How slow the slow ones are.

    Attributes:
        slow_s: Seconds that a slow reader or a slow upload takes at least.
        stream_s: Seconds after which a streaming client hangs up.
    """

    slow_s: float = 1.0
    stream_s: float = 3.0
    hang_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: slow and streaming clients come to their end now."""

    async def wait(self, seconds: float) -> None:
        """Wait, but not past the hanging up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.hang_up.wait(), seconds)


@dataclass
class Connection:
    """One TCP connection that carries one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def reusable(self) -> bool:
        return not (self.reader.at_eof() or self.writer.is_closing())

    def close(self) -> None:
        self.writer.close()


class Clients:
    """Clients that share a pool of kept connections.

    Args:
        pace: How slow the slow ones are.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._idle: dict[tuple[str, int], list[Connection]] = defaultdict(list)

    async def request(self, kind: Kind, target: Target) -> Answer:
        """Make one request of *kind* and return the whole answer."""
        if kind is Kind.KEEP_ALIVE:
            return await self._keep_alive(target)
        if kind is Kind.STREAM:
            return await self._stream(target)
        connection = await _connect(target)
        try:
            if kind is Kind.SLOW_UPLOAD:
                return await self._slow_upload(connection, target)
            connection.writer.write(_head("GET", target.path, target, close=True))
            if kind is Kind.SLOW_READER:
                return await self._read_slowly(connection)
            return (await _read(connection))[0]
        finally:
            connection.close()

    def close(self) -> None:
        """Close the kept connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _keep_alive(self, target: Target) -> Answer:
        idle = self._idle[target.address, target.port]
        connection = None
        while idle and connection is None:
            connection = idle.pop()
            if not connection.reusable:
                connection.close()
                connection = None
        if connection is None:
            connection = await _connect(target)
        kept = False
        try:
            connection.writer.write(_head("GET", target.path, target))
            answer, head = await _read(connection)
            kept = head.keeps_open
        finally:
            if kept:
                idle.append(connection)
            else:
                connection.close()
        return answer

    async def _read_slowly(self, connection: Connection) -> Answer:
        head = await read_head(connection.reader)
        length = int(head.headers.get("content-length", 0))
        limit = max(1, length // 8)
        body = bytearray()
        async for piece in body_pieces(connection.reader, head, limit):
            body += piece
            if len(body) <= limit * 8:
                await self._pace.wait(self._pace.slow_s / 8)
        return Answer(head.status, head.headers, bytes(body))

    async def _slow_upload(self, connection: Connection, target: Target) -> Answer:
        length = {"Content-Length": str(len(UPLOAD))}
        connection.writer.write(_head("POST", target.upload_path, target, close=True, more=length))
        answering = asyncio.ensure_future(_read(connection))
        try:
            step = len(UPLOAD) // 8
            for begin in range(0, len(UPLOAD), step):
                if answering.done():  # refused before the body was whole
                    break
                await self._pace.wait(self._pace.slow_s / 8)
                connection.writer.write(UPLOAD[begin : begin + step])
                await connection.writer.drain()
            return (await answering)[0]
        finally:
            answering.cancel()

    async def _stream(self, target: Target) -> Answer:
        connection = await _connect(target)
        try:
            connection.writer.write(_head("GET", target.stream_path, target, close=True))
            head = await read_head(connection.reader)
            reading = asyncio.ensure_future(_drop_body(connection, head))
            hanging_up = asyncio.ensure_future(self._pace.wait(self._pace.stream_s))
            try:
                await asyncio.wait({reading, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    reading.result()
            finally:
                reading.cancel()
                hanging_up.cancel()
            return Answer(head.status, head.headers, b"")
        finally:
            connection.close()


async def _connect(target: Target) -> Connection:
    return Connection(*await asyncio.open_connection(target.address, target.port))


async def _read(connection: Connection) -> tuple[Answer, Head]:
    head = await read_head(connection.reader)
    body = b"".join([piece async for piece in body_pieces(connection.reader, head)])
    return Answer(head.status, head.headers, body), head


async def _drop_body(connection: Connection, head: Head) -> None:
    async for _ in body_pieces(connection.reader, head):
        pass


def _head(
    method: str,
    path: str,
    target: Target,
    *,
    close: bool = False,
    more: dict[str, str] | None = None,
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.authority}"]
    lines += [f"{name}: {value}" for name, value in {**target.headers, **(more or {})}.items()]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
