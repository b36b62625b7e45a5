"""Webhooks that want to hold up a deployment, or to learn what is none of their business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from turnout.base.errors import Unreachable
from turnout.coordinator import hooks
from turnout.coordinator.job import Job
from turnout.coordinator.looks import Desk
from turnout.domain.facts import Revision
from turnout.domain.phases import Kind
from turnout.wire.project import Component, Intent, Rollout, RunSpec
from turnout.wire.rollout import GateSpec

pytestmark = pytest.mark.anyio
APP = Component(run=RunSpec(command=("serve",)))
RELEASE = "a" * 64


def job(*gates: GateSpec) -> Job:
    intent = Intent(
        project="shop", environment="production", component=APP, rollout=Rollout(gates=gates)
    )
    return Job(
        id="dep-1",
        kind=Kind.DEPLOYMENT,
        project="shop",
        environment="production",
        revision=Revision(APP.revision(RELEASE), RELEASE, static=False, instances=1),
        intent=intent,
    )


@pytest.fixture
async def dripping() -> AsyncIterator[str]:
    """The address of a server that never stalls and never comes to the end of its headers."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-More: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    yield f"http://ada:hunter2@127.0.0.1:{server.sockets[0].getsockname()[1]}/?key=hidden"
    server.close()


async def test_one_that_drips_is_given_up(dripping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.2)
    # Many times what it may take; without a limit on all of it, it would never end.
    async with asyncio.timeout(10):
        with pytest.raises(Unreachable) as caught:
            await hooks.ask(dripping, "rollback", job(), "digest")
    assert "hunter2" not in str(caught.value) and "hidden" not in str(caught.value)


async def test_a_silent_one_keeps_no_other_from_being_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[str] = set()
    everybody = asyncio.Event()

    async def ask(url: str, *_: object) -> hooks.Answer:
        asked.add(url)
        if len(asked) == len(gates):
            everybody.set()
        # The first one waits for the last: one after the other they would wait for ever.
        await everybody.wait()
        if url.endswith("/1"):
            raise Unreachable("A webhook does not answer")
        return hooks.Answer(yes=url.endswith("/2"), status=200, reason="")

    monkeypatch.setattr(hooks, "ask", ask)
    gates = [
        GateSpec(name=f"g{n}", kind="webhook", hook="rollback", url=f"http://127.0.0.1/{n}")
        for n in range(3)
    ]
    desk = Desk(ctx=cast(Any, None), job=job(*gates), position=0, digest="", args={})
    async with asyncio.timeout(10):
        assert await hooks.wants_back(desk, {}) == "g2"
