"""Probes against servers that answer well, badly, late, never or without end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from turnout.agent.probes import BODY_LIMIT, Answer, Question, ask

pytestmark = pytest.mark.anyio
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(reply: bytes | Reply, path: Path | None = None) -> AsyncIterator[list[bytes]]:
    """Answer every connection with *reply*; yield the requests that came, then the address."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if callable(reply):
                await reply(writer)
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    if path is None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        requests.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}".encode())
    else:
        server = await asyncio.start_unix_server(handle, str(path))
        requests.append(f"unix:{path}".encode())
    async with server:
        yield requests


async def probe(reply: bytes | Reply, **question: object) -> Answer:
    asked = Question(path="/healthz", **question)  # type: ignore[arg-type]  # the tests know them
    async with serving(reply) as requests:
        return await ask(requests[0].decode(), asked)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def test_a_good_answer() -> None:
    answer = await probe(OK, contains="ell")
    assert (answer.good, answer.reason, answer.status) == (True, "", 200)


async def test_the_request_is_plain_and_carries_what_it_must(tmp_path: Path) -> None:
    question = Question(path="/a?b=c", host="shop.localhost", headers={"x-turnout-site": "a/b/c"})
    async with serving(OK, tmp_path / "s.sock") as requests:
        assert (await ask(requests[0].decode(), question)).good
        text = requests[1].decode().lower()
    assert text.startswith("get /a?b=c http/1.1\r\n")
    assert "host: shop.localhost\r\n" in text
    assert "x-turnout-site: a/b/c\r\n" in text
    assert "connection: close\r\n" in text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500, expected 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "status 302, expected 200"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "the answer is no valid HTTP"),
        (b"", "no connection"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "the answer is no valid HTTP"),
    ],
)
async def test_bad_answers_say_why(reply: bytes, reason: str) -> None:
    answer = await probe(reply)
    assert not answer.good
    assert reason in answer.reason


async def test_nobody_there() -> None:
    async with serving(OK) as requests:
        address = requests[0].decode()
    answer = await ask(address, Question(path="/"))
    assert "no connection" in answer.reason
    answer = await ask("unix:/nonexistent/x.sock", Question(path="/"))
    assert "no connection" in answer.reason


async def test_a_silent_server_costs_no_more_than_the_timeout() -> None:
    async def silent(_writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    answer = await probe(silent, timeout=0.2)
    assert answer.reason == "no answer within 0.2 s"
    assert answer.latency_ms < 2000


async def test_a_dripping_server_costs_no_more_than_the_timeout() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    assert "no answer within" in (await probe(drip, timeout=0.3)).reason


async def test_an_endless_body_is_read_to_the_limit_only() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    answer = await probe(endless, contains="needle", timeout=5)
    assert "does not contain 'needle'" in answer.reason
    assert sent < 16 * BODY_LIMIT


async def test_an_interim_answer_is_not_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    assert (await probe(early + OK)).status == 200
