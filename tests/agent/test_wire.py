"""The wire's door: good requests reach the agent, bad ones get one clear error and change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from turnout.agent import doors
from turnout.agent.app import Authenticate, Closing, build_app
from turnout.base.errors import Conflict
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio
REMOVE = {"scope": "shop/production", "revision": "0" * 16}


class StubAgent:
    """Stands where the agent stands; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: Exception | None = None
        self.cancelled = asyncio.Event()

    def hello(self) -> BaseModel:
        return wire.Hello(versions=(1,), host="local", agent="0", pid=1)

    async def stage(self, body: AsyncIterator[bytes]) -> BaseModel:
        size = 0
        async for chunk in body:
            size += len(chunk)
        return wire.Staged(
            release="0" * 64, files=0, bytes=size, reused_files=0, received_bytes=size
        )

    async def drain(self, wanted: wire.DrainWanted) -> BaseModel:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return wire.Drained(left=0)

    def __getattr__(self, name: str) -> Any:
        async def call(wanted: Any = None) -> BaseModel:
            self.asked.append((name, wanted))
            if self.error is not None:
                raise self.error
            return wire.Lacking(digests=())

        return call


def client(
    agent: StubAgent,
    authenticate: Authenticate = doors.anyone,
    ending: asyncio.Event | None = None,
) -> httpx2.AsyncClient:
    closing = Closing((ending or asyncio.Event()).wait)
    app = build_app(agent, authenticate, closing)  # type: ignore[arg-type]  # a stub is no Agent
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://agent")


async def test_a_good_request_reaches_the_agent() -> None:
    agent = StubAgent()
    async with client(agent) as http:
        assert (await http.post("/wire/v1/remove", json=REMOVE)).is_success
        assert (await http.get("/wire/hello")).json()["versions"] == [1]
    assert agent.asked == [("remove_instances", wire.InstanceGone.model_validate(REMOVE))]


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (b'{"scope": "shop"}', "scope"),
        (b'{"scope": "../..", "revision": "0000000000000000"}', "scope"),
        (b'{"scope": "shop/production", "revision": "../../../etc"}', "revision"),
        (b'{"scope": "shop/production", "revision": "0000000000000000", "index": 64}', "index"),
        (b'{"scope": "shop/production", "revision": "0000000000000000", "grace": -1}', "grace"),
        (b'{"scope": "shop/production", "revision": "0000000000000000", "x": 1}', "x"),
    ],
)
async def test_a_bad_request_names_the_field(body: bytes, subject: str) -> None:
    agent = StubAgent()
    async with client(agent) as http:
        answer = await http.post("/wire/v1/remove", content=body)
    assert answer.status_code == 422
    assert answer.json()["problem"] == "invalid-input"
    assert answer.json()["subject"] == subject
    assert agent.asked == []


async def test_an_error_never_repeats_what_was_sent() -> None:
    body = b'{"scope": "shop/production", "revision": "canary-secret", "index": "canary-secret"}'
    async with client(StubAgent()) as http:
        answer = await http.post("/wire/v1/remove", content=body)
    assert "canary" not in answer.text


async def test_a_huge_request_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "MESSAGE_LIMIT", 1000)
    async with client(StubAgent()) as http:
        answer = await http.post("/wire/v1/remove", content=b" " * 1001)
    assert answer.status_code == 422
    assert "too long" in answer.json()["what"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/wire/v2/facts", 404),
        ("POST", "/wire/v1/shutdown", 404),
        ("GET", "/wire/v1/remove", 405),
        ("GET", "/wire/v1/traffic/shop", 404),
        ("GET", "/wire/v1/traffic/Shop/production", 422),
        ("DELETE", "/wire/v1/routes/shop/%2e%2e", 422),
    ],
)
async def test_what_is_not_there_is_a_document_too(method: str, path: str, status: int) -> None:
    async with client(StubAgent()) as http:
        answer = await http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["what"]


async def test_the_agents_own_errors_keep_their_kind() -> None:
    agent = StubAgent()
    agent.error = Conflict("It still takes traffic", subject="shop/production", facts={"n": 1})
    async with client(agent) as http:
        answer = await http.post("/wire/v1/remove", json=REMOVE)
    assert answer.status_code == 409
    assert answer.json() == agent.error.to_document()


async def test_an_unknown_error_shows_nothing_of_the_inside() -> None:
    agent = StubAgent()
    agent.error = RuntimeError("password=hunter2 at /srv/secret")
    async with client(agent) as http:
        answer = await http.post("/wire/v1/remove", json=REMOVE)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text


async def test_a_peer_without_the_token_gets_nothing() -> None:
    agent = StubAgent()
    async with client(agent, doors.bearer("t" * 32)) as http:
        for headers in ({}, {"Authorization": "Bearer " + "u" * 32}, {"Authorization": "t" * 32}):
            answer = await http.get("/wire/hello", headers=headers)
            assert answer.status_code == 401
        good = await http.get("/wire/hello", headers={"Authorization": "Bearer " + "t" * 32})
    assert good.status_code == 200


async def test_a_wait_ends_when_the_agent_ends() -> None:
    agent, ending = StubAgent(), asyncio.Event()
    async with client(agent, ending=ending) as http:
        drain = {"scope": "shop/production", "revision": "0" * 16}
        waiting = asyncio.create_task(http.post("/wire/v1/drain", json=drain))
        await asyncio.sleep(0.05)
        ending.set()
        assert (await waiting).status_code == 503
    assert agent.cancelled.is_set()
