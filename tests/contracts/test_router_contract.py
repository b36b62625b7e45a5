"""The router's contract, held against the real Envoy and against the fake of the tests."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.router import FakeHost, FakeRouter
from tests.routers.sites import (
    NEW,
    NEW_RELEASE,
    OLD,
    OLD_RELEASE,
    SCOPE,
    backend,
    site,
)
from tests.routers.upstream import Client, Upstream, ask_once, free_port
from turnout.base.errors import Failed, InvalidInput
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Router, Site

pytestmark = pytest.mark.anyio


class World(ABC):
    """A router, a way to ask it, and what an agent that restarts would find."""

    router: Router
    addresses: tuple[str, str] = ("127.0.0.1:20001", "127.0.0.1:20002")

    @abstractmethod
    def restarted(self) -> Router:
        """Return a new object over the same state."""

    @abstractmethod
    async def ask(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Return status and release of one request."""

    @abstractmethod
    async def hold(self) -> None:
        """Begin a request that does not end."""

    @abstractmethod
    async def release(self) -> None:
        """End it."""


class FakeWorld(World):
    def __init__(self) -> None:
        self.host = FakeHost()
        self.router = FakeRouter(self.host)

    def restarted(self) -> Router:
        return FakeRouter(self.host)

    async def ask(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        return FakeRouter(self.host).ask(host, headers or {})

    async def hold(self) -> None:
        self.host.under_way[SCOPE, OLD] += 1

    async def release(self) -> None:
        self.host.under_way[SCOPE, OLD] -= 1


class EnvoyWorld(World):
    def __init__(self, directory: Path, addresses: tuple[str, str]) -> None:
        self.directory, self.port, self.addresses = directory, free_port(), addresses
        self.router = self.restarted()
        self.streams: list[Client] = []

    def restarted(self) -> Router:
        listen = ("127.0.0.1", self.port)
        return EnvoyRouter(self.directory / "state", self.directory / "run", listen)

    async def ask(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        answer = await ask_once(self.port, host, headers=headers)
        return answer.status, answer.headers.get("x-turnout-release", "")

    async def hold(self) -> None:
        client = Client(self.port)
        self.streams.append(client)
        await client.head("GET", "/events")

    async def release(self) -> None:
        await self.streams.pop().close()


@pytest.fixture(params=["fake", pytest.param("envoy", marks=pytest.mark.real)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    directory = Path(tempfile.mkdtemp(prefix="to-"))
    apps = [await Upstream("old").start(), await Upstream("new").start()]
    envoy = EnvoyWorld(directory, (apps[0].address, apps[1].address))
    try:
        yield envoy
    finally:
        for client in envoy.streams:
            await client.close()
        await envoy.router.stop()
        for app in apps:
            await app.stop()
        shutil.rmtree(directory, ignore_errors=True)


def both(world: World, old: int, **more: object) -> Site:
    """Return a site with both revisions, *old* percent on the old one."""
    return site(
        backend(OLD, world.addresses[0]),
        backend(NEW, world.addresses[1]),
        weights={OLD: old, NEW: 100 - old},
        **more,
    )


async def test_a_change_is_obeyed_by_the_next_request(world: World) -> None:
    await world.router.start()
    first = await world.router.apply([both(world, 100)])
    assert await world.ask("shop.test") == (200, OLD_RELEASE)
    second = await world.router.apply([both(world, 0)])
    assert await world.ask("shop.test") == (200, NEW_RELEASE)
    assert first.version != second.version
    assert 0 <= second.took_s < 5


async def test_the_same_state_twice_changes_nothing(world: World) -> None:
    await world.router.start()
    first = await world.router.apply([both(world, 30)])
    assert (await world.router.apply([both(world, 30)])).version == first.version


async def test_unknown_hosts_get_404_and_a_bare_address_the_default_site(world: World) -> None:
    await world.router.start()
    await world.router.apply([])
    assert await world.ask("other.test") == (404, "")
    await world.router.apply([both(world, 100)])
    assert await world.ask("other.test") == (404, "")
    assert await world.ask("127.0.0.1") == (404, "")
    await world.router.apply([both(world, 100, default=True)])
    for bare in ("127.0.0.1", "localhost"):
        assert await world.ask(bare) == (200, OLD_RELEASE)
    assert await world.ask("other.test") == (404, "")


async def test_a_site_without_weights_answers_503_but_can_be_previewed(world: World) -> None:
    await world.router.start()
    await world.router.apply([site(backend(OLD, world.addresses[0]), weights={})])
    assert await world.ask("shop.test") == (503, "")
    named = {"x-turnout-release": OLD_RELEASE}
    assert await world.ask("shop.test", named) == (200, OLD_RELEASE)
    assert await world.ask(f"{OLD_RELEASE[:12]}--shop.test") == (200, OLD_RELEASE)


@pytest.mark.parametrize("digits", [12, 13, 40, 64])
async def test_a_header_with_enough_of_the_release_selects_it(world: World, digits: int) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100)])
    named = {"x-turnout-release": NEW_RELEASE[:digits]}
    assert await world.ask("shop.test", named) == (200, NEW_RELEASE)


@pytest.mark.parametrize("wrong", [NEW_RELEASE[:11], NEW_RELEASE[:12] + "00", NEW_RELEASE + "0"])
async def test_any_other_header_does_not(world: World, wrong: str) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100)])
    assert await world.ask("shop.test", {"x-turnout-release": wrong}) == (200, OLD_RELEASE)


async def test_contradictions_are_refused_and_nothing_changes(world: World) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100)])
    with pytest.raises(InvalidInput):
        await world.router.apply([site(backend(OLD, world.addresses[0]), weights={NEW: 100})])
    with pytest.raises(InvalidInput):
        await world.router.apply([both(world, 100), both(world, 100, scope="other/production")])
    assert await world.ask("shop.test") == (200, OLD_RELEASE)


async def test_traffic_counts_each_backend_that_is_known(world: World) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100)])
    for _ in range(3):
        await world.ask("shop.test")
    await world.ask("shop.test", {"x-turnout-release": NEW_RELEASE})
    counted = {entry.revision: entry for entry in await world.router.traffic(SCOPE)}
    assert (counted[OLD].requests, counted[NEW].requests) == (3, 1)
    assert counted[OLD].by_class["2xx"] == 3
    assert await world.router.traffic("nobody/production") == []


async def test_waiting_for_idle_ends_with_the_last_request_or_the_deadline(world: World) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100)])
    assert await world.router.wait_idle(SCOPE, OLD, 1) == 0
    await world.hold()
    assert await world.router.wait_idle(SCOPE, OLD, 0.1) == 1
    assert await world.router.wait_idle(SCOPE, NEW, 1) == 0
    waiting = asyncio.create_task(world.router.wait_idle(SCOPE, OLD, 10))
    await world.release()
    assert await waiting == 0


async def test_another_object_takes_the_state_up_again(world: World) -> None:
    await world.router.start()
    applied = await world.router.apply([both(world, 0)])
    after = world.restarted()
    await after.start()
    assert await after.alive()
    assert await world.ask("shop.test") == (200, NEW_RELEASE)
    assert (await after.apply([both(world, 0)])).version == applied.version


async def test_it_lives_from_start_to_stop(world: World) -> None:
    assert not await world.router.alive()
    await world.router.start()
    await world.router.start()
    assert await world.router.alive()
    await world.router.stop()
    await world.router.stop()
    assert not await world.router.alive()
    with pytest.raises(Failed):
        await world.router.apply([])
