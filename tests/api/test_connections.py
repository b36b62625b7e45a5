"""A connection that never finishes its headers is cut; one between two requests is not."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.house import FakeHouse
from turnout.api import connections
from turnout.api.server import serve

HEAD = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n"


async def ended(reader: asyncio.StreamReader) -> bool:
    """Return whether the server hung up within seconds, without an answer."""
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def answered(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        return head.startswith(b"HTTP/1.1 200")


def test_headers_have_a_deadline(house: FakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", 0.3)

    async def visit(port: int) -> None:
        silent, _ = await asyncio.open_connection("127.0.0.1", port)
        half, half_writer = await asyncio.open_connection("127.0.0.1", port)
        half_writer.write(HEAD)
        good, good_writer = await asyncio.open_connection("127.0.0.1", port)
        good_writer.write(HEAD + b"\r\n")
        assert await answered(good)
        assert await ended(silent)
        assert await ended(half)
        # Idle for longer than the deadline, and asked again in two pieces.
        good_writer.write(HEAD[:20])
        await good_writer.drain()
        good_writer.write(HEAD[20:] + b"\r\n")
        assert await answered(good)
        good_writer.write(HEAD)
        assert await ended(good)

    async def main() -> None:
        stop = asyncio.Event()
        port = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve(house.app, "127.0.0.1", 0, ready=lambda _, p: port.set_result(p), stop=stop)
        )
        try:
            await visit(await port)
        finally:
            stop.set()
            await serving

    asyncio.run(main())
