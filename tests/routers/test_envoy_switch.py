"""Real Envoy: no request is dropped over many changes, and streams end on the release they began."""

from __future__ import annotations

import asyncio

import pytest

from tests.routers.load import Load
from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, SCOPE, backend, site
from tests.routers.upstream import Client, Upstream, ask_once
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Site

pytestmark = [pytest.mark.anyio, pytest.mark.real]

CHANGES = 60


def both(apps: tuple[Upstream, Upstream], old: int) -> Site:
    weights = {OLD: old, NEW: 100 - old}
    return site(backend(OLD, apps[0].address), backend(NEW, apps[1].address), weights=weights)


async def test_no_request_fails_over_many_changes_and_a_removal(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([both(apps, 100)])
    took_ms = []
    async with Load(port).running() as load:
        for number in range(CHANGES):
            applied = await router.apply([both(apps, (number * 37) % 101)])
            took_ms.append(applied.took_s * 1000)
            await asyncio.sleep(0.02)
        await router.apply([both(apps, 0)])
        assert await router.wait_idle(SCOPE, OLD, deadline_s=10) == 0
        await router.apply([site(backend(NEW, apps[1].address))])
        await apps[0].stop()
        await asyncio.sleep(0.3)
    took_ms.sort()
    print(f"acknowledged: median {took_ms[CHANGES // 2]:.1f} ms, max {took_ms[-1]:.1f} ms")
    print(f"requests: {dict(load.done)}")
    assert load.failures == []
    assert set(load.done) == {"keep_alive", "new_connection", "upload", "web_socket", "events"}
    assert load.done["keep_alive"] > 500


async def test_backends_can_be_replaced_in_one_change_and_the_answer_means_done(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([site(backend("0" * 16, apps[0].address))])
    probe = Client(port)
    await probe.get()
    async with Load(port, streams=False).running() as load:
        for number in range(1, CHANGES):
            chosen = backend(f"{number:016x}", apps[number % 2].address)
            await router.apply([site(chosen)])
            answer = await probe.get()
            assert answer.headers["x-turnout-release"] == chosen.release
    await probe.close()
    assert load.failures == []
    assert [entry.revision for entry in await router.traffic(SCOPE)] == [chosen.revision]


async def test_streams_stay_on_the_old_release_until_they_end(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([both(apps, 100)])
    events, sockets, upload = Client(port), Client(port), Client(port)
    assert (await events.head("GET", "/events")).headers["x-turnout-release"] == OLD_RELEASE
    assert (await sockets.upgrade()).headers["x-turnout-release"] == OLD_RELEASE
    sending = asyncio.create_task(upload.upload(chunks=20, pause_s=0.02))
    await asyncio.sleep(0.05)

    await router.apply([both(apps, 0)])
    answer = await ask_once(port, "shop.test")
    assert answer.headers["x-turnout-release"] == NEW_RELEASE
    assert await router.wait_idle(SCOPE, OLD, deadline_s=0.05) == 3
    assert [(await events.event()).split()[0] for _ in range(3)] == ["old"] * 3
    assert await sockets.say("still here") == "old still here"
    assert (await sending).headers["x-turnout-release"] == OLD_RELEASE

    for client in (events, sockets, upload):
        await client.close()
    assert await router.wait_idle(SCOPE, OLD, deadline_s=5) == 0


async def test_requests_under_way_survive_a_change_of_addresses(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    client = Client(port)
    await client.head("GET", "/events")
    await client.event()
    await router.apply([site(backend(OLD, apps[1].address))])
    assert b'"new"' in (await ask_once(port, "shop.test")).body
    for _ in range(5):
        assert (await client.event()).startswith("old")
    await client.close()


async def test_a_dead_instance_among_two_costs_no_request(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([site(backend(OLD, apps[0].address, apps[1].address))])
    await apps[0].stop()
    answers = [await ask_once(port, "shop.test") for _ in range(40)]
    assert {answer.status for answer in answers} == {200}


async def test_idle_connections_are_closed_before_the_app_closes_them(
    router: EnvoyRouter, port: int, apps: tuple[Upstream, Upstream]
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    await ask_once(port, "shop.test")
    closed = asyncio.Event()
    watched = next(iter(apps[0]._tasks))
    watched.add_done_callback(lambda _: closed.set())
    await asyncio.wait_for(closed.wait(), 1.9)
