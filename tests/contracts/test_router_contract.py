"""The router's contract, held against the real Envoy and against the fake of the tests."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
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
from turnout.routers.port import Mirror, Router, Site, Split
from turnout.routers.port import Tester as Mark

pytestmark = pytest.mark.anyio


class World(ABC):
    """A router, a way to ask it, and what an agent that restarts would find."""

    router: Router
    addresses: tuple[str, str] = ("127.0.0.1:20001", "127.0.0.1:20002")

    @abstractmethod
    def restarted(self) -> Router:
        """Return a new object over the same state."""

    async def ask(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Return status and release of one request."""
        status, release, _ = await self.visit(host, headers)
        return status, release

    @abstractmethod
    async def visit(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Return status, release and the router's cookie of one request."""

    @abstractmethod
    async def hold(self) -> None:
        """Begin a request to the old revision's first address that does not end."""

    @abstractmethod
    async def release(self) -> None:
        """End it."""


class FakeWorld(World):
    def __init__(self) -> None:
        self.host = FakeHost()
        self.router = FakeRouter(self.host)

    def restarted(self) -> Router:
        return FakeRouter(self.host)

    async def visit(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
        return FakeRouter(self.host).visit(host, headers or {})

    async def hold(self) -> None:
        self.host.under_way[SCOPE, OLD, self.addresses[0]] += 1

    async def release(self) -> None:
        self.host.under_way[SCOPE, OLD, self.addresses[0]] -= 1


class EnvoyWorld(World):
    def __init__(self, directory: Path, addresses: tuple[str, str]) -> None:
        self.directory, self.port, self.addresses = directory, free_port(), addresses
        self.router = self.restarted()
        self.streams: list[Client] = []

    def restarted(self) -> Router:
        listen = ("127.0.0.1", self.port)
        return EnvoyRouter(self.directory / "state", self.directory / "run", listen)

    async def visit(self, host: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
        answer = await ask_once(self.port, host, headers=headers)
        cookie = next((c for c in answer.cookies if c.startswith("turnout=")), "")
        release = answer.headers.get("x-turnout-release", "")
        return answer.status, release, cookie.partition(";")[0]

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


async def test_clients_keep_their_slot_and_nobody_moves_back(world: World) -> None:
    await world.router.start()
    split = Split(candidate=NEW, sticky=True)
    await world.router.apply([both(world, 80, split=split)])
    jars = [(await world.visit("shop.test"))[2] for _ in range(60)]
    assert all(re.fullmatch(rf"turnout={NEW[:8]}\.\d\d?", cookie) for cookie in jars)
    before: set[str] = set()
    for new in (20, 40, 100):
        await world.router.apply([both(world, 100 - new, split=split)])
        moved = set()
        for cookie in jars:
            status, release, given = await world.visit("shop.test", {"cookie": f"a=b; {cookie}"})
            assert (status, given) == (200, "")
            assert (release == NEW_RELEASE) == (int(cookie.rpartition(".")[2]) < new)
            if release == NEW_RELEASE:
                moved.add(cookie)
        assert before <= moved
        before = moved
    await world.router.apply([site(*both(world, 100).backends, split=split)])
    for cookie in jars:
        assert await world.visit("shop.test", {"cookie": cookie}) == (200, OLD_RELEASE, "")


async def test_testers_reach_the_candidate_while_there_is_one(world: World) -> None:
    await world.router.start()
    testers = (Mark(header="x-beta"), Mark(cookie="beta", value="1"))
    split = Split(candidate=NEW, testers=testers)
    await world.router.apply([both(world, 100, split=split)])
    for headers in ({"x-beta": "any"}, {"cookie": "beta=1"}):
        assert await world.ask("shop.test", headers) == (200, NEW_RELEASE)
    assert await world.ask("shop.test", {"cookie": "beta=2"}) == (200, OLD_RELEASE)
    await world.router.apply([site(backend(OLD, world.addresses[0]), split=split)])
    assert await world.ask("shop.test", {"x-beta": "any"}) == (200, OLD_RELEASE)


async def test_copies_count_for_the_shadow_alone(world: World) -> None:
    await world.router.start()
    await world.router.apply([both(world, 100, mirror=Mirror(NEW, 100))])
    for _ in range(5):
        assert await world.ask("shop.test") == (200, OLD_RELEASE)
    async with asyncio.timeout(5):
        while True:
            counted = {entry.revision: entry for entry in await world.router.traffic(SCOPE)}
            if counted[NEW].requests == 5:
                break
            await asyncio.sleep(0.01)
    assert counted[OLD].requests == 5
    await world.router.apply([both(world, 100)])
    await world.ask("shop.test")
    counted = {entry.revision: entry for entry in await world.router.traffic(SCOPE)}
    assert (counted[OLD].requests, counted[NEW].requests) == (6, 5)


async def test_what_drains_gets_no_request_and_is_waited_for_alone(world: World) -> None:
    await world.router.start()
    old, new = world.addresses
    await world.router.apply([site(backend(OLD, old))])
    await world.hold()
    await world.router.apply([site(backend(OLD, old, new, draining=(old,)))])
    assert await world.router.wait_idle(SCOPE, OLD, 0, old) == 1
    assert await world.router.wait_idle(SCOPE, OLD, 1, new) == 0
    assert await world.ask("shop.test") == (200, OLD_RELEASE)
    await world.release()
    assert await world.router.wait_idle(SCOPE, OLD, 5, old) == 0
    await world.router.apply([site(backend(OLD, old, new, draining=(old, new)))])
    status, _ = await world.ask("shop.test")
    assert status == 503


async def test_statistics_are_of_every_scope_and_say_when_they_begin_anew(world: World) -> None:
    await world.router.start()
    other = site(backend(NEW, world.addresses[1]), scope="other/live", domains=("other.test",))
    await world.router.apply([site(backend(OLD, world.addresses[0])), other])
    await world.ask("shop.test")
    await world.ask("other.test")
    async with asyncio.timeout(5):
        while True:
            found = await world.router.statistics()
            latencies = [sum(count for _, count in t.latency) for _, t in found.backends]
            if latencies == [1, 1]:
                break
            await asyncio.sleep(0.05)
    assert {(scope, t.revision, t.requests) for scope, t in found.backends} == {
        (SCOPE, OLD, 1),
        ("other/live", NEW, 1),
    }
    again = await world.restarted().statistics()
    assert again.counting_since == found.counting_since
    await world.router.stop()
    await world.router.start()
    assert (await world.router.statistics()).counting_since != found.counting_since


async def test_a_restart_keeps_the_state_and_counts_anew(world: World) -> None:
    await world.router.start()
    applied = await world.router.apply([both(world, 0)])
    before = await world.router.statistics()
    restarted = await world.router.restart()
    assert restarted.epoch == 1
    assert restarted.version
    assert await world.router.alive()
    assert await world.ask("shop.test") == (200, NEW_RELEASE)
    assert (await world.router.statistics()).counting_since != before.counting_since
    after = world.restarted()
    await after.start()
    assert (await after.apply([both(world, 0)])).version == applied.version
    assert (await after.restart()).epoch == 2


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
    with pytest.raises(Failed):
        await world.router.restart()


async def test_its_end_is_told(world: World) -> None:
    with anyio.fail_after(10):
        await world.router.ended()
    await world.router.start()
    watching = asyncio.create_task(world.router.ended())
    await asyncio.sleep(0)
    assert await world.ask("shop.test") == (404, "")
    assert not watching.done()
    await world.router.stop()
    with anyio.fail_after(10):
        await watching
