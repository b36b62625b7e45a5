"""The driver's side of the wire: what it makes of answers that are good, bad, late or absurd."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from turnout.base.errors import Conflict, Failed, Unreachable
from turnout.targets import agent_host
from turnout.targets.agent_host import AgentHost
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio
HELLO = {"versions": [1], "host": "web-1", "agent": "0.1.0", "pid": 7, "newer": "unknown"}
TRUST = wire.Trust(scope="shop/production", environment_key="a2V5", public_key="key")
Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, document: object) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def agent(path: Path, reply: bytes | Reply) -> AsyncIterator[AgentHost]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(reply, bytes):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                await writer.drain()
            else:
                await reply(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_unix_server(handle, str(path / "a.sock")):
        host = AgentHost("web-1", path / "a.sock")
        yield host
        await host.close()


async def test_a_newer_agent_is_understood(tmp_path: Path) -> None:
    async with agent(tmp_path, answer(200, HELLO)) as host:
        assert (await host.hello()).pid == 7


async def test_an_agent_of_another_wire_is_refused(tmp_path: Path) -> None:
    async with agent(tmp_path, answer(200, HELLO | {"versions": [2, 3]})) as host:
        with pytest.raises(Failed, match="no wire version") as caught:
            await host.hello()
    assert "2, 3" in caught.value.why


async def test_the_agents_error_comes_back_as_itself(tmp_path: Path) -> None:
    error = Conflict("It takes traffic", subject="x", why="so", next_step="Wait.", facts={"n": 1})
    async with agent(tmp_path, answer(409, error.to_document())) as host:
        with pytest.raises(Conflict) as caught:
            await host.unroute("shop/production")
    assert caught.value.to_document() == error.to_document()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        answer(502, b"<html>Bad Gateway</html>"),
        answer(500, [1, 2]),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
async def test_whatever_is_no_agent_is_unreachable(tmp_path: Path, reply: bytes) -> None:
    async with agent(tmp_path, reply) as host:
        with pytest.raises(Unreachable) as caught:
            await host.facts()
    assert caught.value.subject == "web-1"


async def test_an_answer_of_another_shape_is_a_failure(tmp_path: Path) -> None:
    async with agent(tmp_path, answer(200, {"host": 1})) as host:
        with pytest.raises(Failed, match="cannot be understood"):
            await host.facts()


async def test_silence_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_host, "QUICK", 0.2)

    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10)

    async with agent(tmp_path, silent) as host:
        with pytest.raises(Unreachable, match="does not answer") as caught:
            await host.facts()
    assert "0.2 s" in caught.value.why


async def test_a_package_is_streamed_after_its_line_of_trust(tmp_path: Path) -> None:
    package = tmp_path / "p.pkg"
    package.write_bytes(bytes(range(256)) * 4096)
    got = bytearray()
    staged = {"release": "0" * 64, "files": 1, "bytes": 2, "reused_files": 3, "received_bytes": 4}

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while size := int(await reader.readline(), 16):
            got.extend(await reader.readexactly(size))
            await reader.readline()
        writer.write(answer(200, staged))
        await writer.drain()

    async with agent(tmp_path, receive) as host:
        assert (await host.stage(TRUST, package)).reused_files == 3
    line, _, rest = bytes(got).partition(b"\n")
    assert wire.Trust.model_validate_json(line) == TRUST
    assert rest == package.read_bytes()


async def test_an_early_refusal_of_a_package_is_heard(tmp_path: Path) -> None:
    package = tmp_path / "p.pkg"
    package.write_bytes(b"x" * (8 << 20))
    error = Conflict("Not now", subject="x")

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(409, error.to_document()))
        await writer.drain()
        while await reader.read(1 << 16):  # as our agent does
            pass

    async with agent(tmp_path, refuse) as host:
        with pytest.raises(Conflict):
            async with asyncio.timeout(5):
                await host.stage(TRUST, package)


async def test_it_serves_several_event_loops(tmp_path: Path) -> None:
    found: list[int] = []

    async with agent(tmp_path, answer(200, HELLO)) as host:

        def other() -> None:
            async def ask() -> None:
                found.append((await host.hello()).pid)
                await host.close()

            asyncio.run(ask())

        threads = [threading.Thread(target=other) for _ in range(3)]
        for thread in threads:
            thread.start()
        await host.hello()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert found == [7, 7, 7]
