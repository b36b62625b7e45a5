"""The inlet: a body on its way to a thread, with no more than a few chunks in memory."""

from __future__ import annotations

import asyncio

import pytest

from turnout.agent.inlet import CHUNKS, Inlet
from turnout.base.errors import Aborted

pytestmark = pytest.mark.anyio


async def test_everything_arrives_in_order_and_ends() -> None:
    inlet = Inlet("none")
    data = [bytes([n]) * 1000 for n in range(100)]
    reading = asyncio.create_task(asyncio.to_thread(read_all, inlet, 333))
    for chunk in data:
        assert await inlet.feed(chunk)
    await inlet.feed(b"")
    assert await reading == b"".join(data)


async def test_a_slow_reader_holds_the_sender_back() -> None:
    inlet = Inlet("none")
    for _ in range(CHUNKS):
        await inlet.feed(b"x")
    waiting = asyncio.create_task(inlet.feed(b"y"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    assert await asyncio.to_thread(inlet.read, 1) == b"x"
    assert await asyncio.wait_for(waiting, 2)


async def test_a_reader_that_stopped_lets_the_sender_go() -> None:
    inlet = Inlet("none")
    for _ in range(CHUNKS):
        await inlet.feed(b"x")
    waiting = asyncio.create_task(inlet.feed(b"y"))
    await asyncio.sleep(0)
    inlet.close()
    assert await asyncio.wait_for(waiting, 2) is False


async def test_an_abort_reaches_a_reader_that_waits() -> None:
    inlet = Inlet("none")
    reading = asyncio.create_task(asyncio.to_thread(inlet.read, 1))
    await asyncio.sleep(0.02)
    inlet.abort()
    with pytest.raises(Aborted):
        await reading


async def test_the_head_can_be_read_twice() -> None:
    inlet = Inlet("none")
    await inlet.feed(b"head and body")
    await inlet.feed(b"")
    assert inlet.read(4) == b"head"
    inlet.rewind()
    assert read_all(inlet, 5) == b"head and body"


def read_all(inlet: Inlet, size: int) -> bytes:
    data = b""
    while part := inlet.read(size):
        data += part
    return data
