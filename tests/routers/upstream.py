"""An application for tests, and a client that counts every failure: both on bare sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def free_port() -> int:
    """Return a free port below the range that the kernel gives to clients."""
    for port in range(20000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", (port * 7919) % 12000 + 20000))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free port")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    cookies: list[str] = field(default_factory=list)


class Upstream:
    """A server that says its name, echoes, streams and takes uploads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self.extra_headers: dict[str, str] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.gate = asyncio.Event()
        self.failing = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0, path: str = "") -> Upstream:
        if path:
            self._server = await asyncio.start_unix_server(self._connection, path)
            self.address = f"unix:{path}"
        else:
            self._server = await asyncio.start_server(self._connection, "127.0.0.1", port)
            self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            try:
                while await self._request(reader, writer):
                    pass
            finally:
                writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        method, path = first.split()[:2]
        self.seen.append((method, path, headers))
        if path.startswith("/wait"):
            await self.gate.wait()
        if headers.get("upgrade", "").lower() == "websocket":
            await self._echo(reader, writer, headers["sec-websocket-key"])
            return False
        if path.startswith("/reset"):
            writer.transport.abort()
            return False
        if path.startswith("/http10"):
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
            return False
        length = len(await read_body(reader, headers))
        if path.startswith("/events"):
            await self._events(writer)
            return True
        status = int(path.rpartition("=")[2]) if "status=" in path else 500 if self.failing else 200
        document = {"name": self.name, "length": length, "path": path, "headers": headers}
        body = json.dumps(document).encode()
        extra = "".join(f"{k}: {v}\r\n" for k, v in self.extra_headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body
        )
        await writer.drain()
        return True

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        number = 0
        while not writer.is_closing():
            data = f"data: {self.name} {number}\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
            number += 1
            await asyncio.sleep(0.01)

    async def _echo(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str
    ) -> None:
        digest = hashlib.sha1((key + _WEBSOCKET_GUID).encode()).digest()  # noqa: S324 - RFC 6455
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        while line := await reader.readline():
            writer.write(self.name.encode() + b" " + line)
            await writer.drain()


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read one message's body by its length or its chunks."""
    if "chunked" in headers.get("transfer-encoding", ""):
        parts = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return b"".join(parts)
    return await reader.readexactly(int(headers.get("content-length", "0")))


@dataclass
class Client:
    """One connection; nothing is ever repeated.  Instead of a port a unix socket will do."""

    port: int | Path
    host: str = "shop.test"
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)
    pending: bytes = b""

    async def head(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request's head and read the answer's head."""
        reader, writer = await self.connect()
        sent = {"host": self.host, **(headers or {})}
        lines = "".join(f"{k}: {v}\r\n" for k, v in sent.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        await writer.drain()
        return await self.answer(reader)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.streams is None:
            self.streams = (
                await asyncio.open_unix_connection(self.port)
                if isinstance(self.port, Path)
                else await asyncio.open_connection("127.0.0.1", self.port)
            )
        return self.streams

    async def answer(self, reader: asyncio.StreamReader) -> Answer:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        cookies = [line.partition(":")[2].strip() for line in lines if _is_cookie(line)]
        return Answer(int(first.split()[1]), headers, cookies=cookies)

    async def get(
        self, path: str = "/", headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """Return a whole answer."""
        answer = await self.head(method, path, headers)
        reader, _ = await self.connect()
        if method != "HEAD" and answer.status != 304:
            answer.body = await read_body(reader, answer.headers)
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def upload(self, chunks: int, pause_s: float) -> Answer:
        """Send a body slowly and return the answer."""
        reader, writer = await self.connect()
        writer.write(
            f"POST /upload HTTP/1.1\r\nhost: {self.host}\r\n"
            f"content-length: {chunks * 1000}\r\n\r\n".encode()
        )
        for _ in range(chunks):
            writer.write(b"x" * 1000)
            await writer.drain()
            await asyncio.sleep(pause_s)
        answer = await self.answer(reader)
        answer.body = await read_body(reader, answer.headers)
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def event(self) -> str:
        """Return the next event of a stream that :meth:`head` opened."""
        reader, _ = await self.connect()
        # A proxy may join or split chunks, so events end where they say and not with a chunk.
        while b"\n\n" not in self.pending:
            size = int(await reader.readuntil(b"\r\n"), 16)
            assert size, "the stream ended"
            self.pending += (await reader.readexactly(size + 2))[:-2]
        event, _, self.pending = self.pending.partition(b"\n\n")
        return event.decode().removeprefix("data: ")

    async def upgrade(self) -> Answer:
        """Open a web socket."""
        return await self.head(
            "GET",
            "/socket",
            {
                "connection": "upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(),
            },
        )

    async def say(self, text: str) -> str:
        """Send a line through an open web socket and return what comes back."""
        reader, writer = await self.connect()
        writer.write(text.encode() + b"\n")
        await writer.drain()
        return (await reader.readuntil(b"\n")).decode().strip()

    async def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            with contextlib.suppress(OSError):
                await self.streams[1].wait_closed()
            self.streams, self.pending = None, b""


def _is_cookie(line: str) -> bool:
    return line.lower().startswith("set-cookie:")


async def ask_once(
    port: int | Path,
    host: str,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
) -> Answer:
    """Return the answer to one request on a connection of its own."""
    client = Client(port, host)
    try:
        return await client.get(path, headers, method)
    finally:
        await client.close()
