"""Real Envoy: single instances of a revision: drained, ejected, limited and counted."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from tests.routers.load import Load
from tests.routers.sites import NEW, OLD, SCOPE, backend, site
from tests.routers.upstream import Client, Upstream, ask_once
from turnout.routers import envoy_changes
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import BackendTraffic, Limits
from turnout.wire.statistics import BOUNDS_MS

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]


async def names(port: int, count: int) -> set[str]:
    answers = [await ask_once(port, "shop.test") for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return {json.loads(answer.body)["name"] for answer in answers}


async def arrived(app: Upstream, path: str) -> None:
    async with asyncio.timeout(5):
        while path not in [seen for _, seen, _ in app.seen]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def counted(router: EnvoyRouter, revision: str = OLD) -> BackendTraffic:
    found = {one.revision: one for one in await router.traffic(SCOPE)}
    return found[revision]


async def test_an_instance_drains_while_a_slow_request_is_under_way(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    old, new = (app.address for app in apps)
    await router.apply([site(backend(OLD, old, new))])
    async with Load(port).running() as load:
        slow = []
        while not any(path == "/wait" for _, path, _ in apps[0].seen):
            slow.append(asyncio.create_task(ask_once(port, "shop.test", "/wait")))
            await asyncio.sleep(0.02)
        await load.more("new_connection", 20)
        await router.apply([site(backend(OLD, old, new, draining=(old,)))])
        assert await names(port, 30) == {"new"}
        waiting = len([1 for _, path, _ in apps[0].seen if path == "/wait"])
        for app in apps:
            app.seen.clear()
        assert await names(port, 30) == {"new"}
        assert apps[0].seen == []
        # Streams of the load may be there too, the slow request is in any case.
        assert await router.wait_idle(SCOPE, OLD, 0, old) >= waiting
        apps[0].gate.set()
        apps[1].gate.set()
        assert {answer.status for answer in await asyncio.gather(*slow)} == {200}
        assert await router.wait_idle(SCOPE, OLD, 10, old) == 0
        assert (await counted(router)).in_flight >= 0
        await router.apply([site(backend(OLD, new))])
        await load.more("new_connection", 20)
    assert load.failures == []


@pytest.mark.parametrize("room", [0, 10])
async def test_waiting_for_one_instance_knows_what_it_has_under_way(
    router: EnvoyRouter,
    port: int,
    apps: Apps,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    monkeypatch.setattr(envoy_changes, "room", lambda: room)
    old, new = (app.address for app in apps)
    await router.apply([site(backend(OLD, old))])
    stream = Client(port)
    await stream.head("GET", "/events")
    await router.apply([site(backend(OLD, old, new, draining=(old,)))])
    assert await router.wait_idle(SCOPE, OLD, 0, old) == 1
    if room:
        assert await router.wait_idle(SCOPE, OLD, 1, new) == 0
    assert (await stream.event()).startswith("old")
    await stream.close()
    assert await router.wait_idle(SCOPE, OLD, 5, old) == 0
    await router.apply([site(backend(OLD, new))])
    assert await names(port, 5) == {"new"}
    assert await router.wait_idle(SCOPE, OLD, 1, old) == 0


async def test_a_cluster_whose_addresses_move_into_a_file_drops_nothing(
    router: EnvoyRouter, port: int, apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [site(backend(OLD, apps[0].address))]
    monkeypatch.setattr(envoy_changes, "room", lambda: 0)
    await router.apply(wanted)
    async with Load(port).running() as load:
        for room in (10, 0, 10):
            monkeypatch.setattr(envoy_changes, "room", lambda room=room: room)
            # What an older version of ours wrote has none in a file, whatever there is room for.
            monkeypatch.setattr(router._changes, "in_file", set)
            await router.apply(wanted)
            await load.more("new_connection", 20)
        await load.more("events", 2)
    assert load.failures == []


async def test_an_instance_that_drains_gets_nothing_whatever_the_others_are(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    old, new = (app.address for app in apps)
    others = tuple(f"127.0.0.1:{number}" for number in (1, 2))
    drained = backend(OLD, *others, old, new, draining=(*others, old))
    await router.apply([site(drained)])
    assert await names(port, 20) == {"new"}
    await router.apply([site(backend(OLD, old, new, draining=(old, new)))])
    assert (await ask_once(port, "shop.test")).status == 503
    await router.apply([site(backend(OLD, old, new))])
    assert await names(port, 40) == {"old", "new"}


async def test_a_switch_away_from_instances_that_drain_at_once_fails_nothing(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    old, new = (app.address for app in apps)
    await router.apply([site(backend(OLD, old), backend(NEW, new))])
    async with Load(port, streams=False).running() as load:
        for _ in range(20):
            for live, drains in ((NEW, OLD), (OLD, NEW)):
                addresses = {OLD: old, NEW: new}
                backends = [
                    backend(r, a, draining=(a,) if r == drains else ())
                    for r, a in addresses.items()
                ]
                await router.apply([site(*backends, weights={live: 100})])
                await asyncio.sleep(0.005)
    assert load.failures == []


async def test_a_sick_instance_is_ejected_and_the_only_one_never(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    sick, well = apps
    sick.failing = True
    await router.apply([site(backend(OLD, sick.address, well.address), backend(NEW, sick.address))])
    async with asyncio.timeout(20):
        while (await counted(router)).ejections == 0:
            await ask_once(port, "shop.test")
    assert await names(port, 30) == {"new"}
    well.failing = True
    named = {"x-turnout-release": backend(NEW, sick.address).release}
    for _ in range(40):
        # Half of the instances at most: what is left answers, well or not.
        for headers in ({}, named):
            assert (await ask_once(port, "shop.test", headers=headers)).status == 500
    assert (await counted(router, NEW)).ejections == 0
    assert (await counted(router)).failures == 0


async def test_requests_beyond_the_limit_get_503_at_once(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address, limits=Limits(requests=2)))])
    slow = [asyncio.create_task(ask_once(port, "shop.test", "/wait")) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(apps[0].seen) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert (await ask_once(port, "shop.test")).status == 503
    assert (await counted(router)).failures == 1
    apps[0].gate.set()
    assert {answer.status for answer in await asyncio.gather(*slow)} == {200}
    assert (await ask_once(port, "shop.test")).status == 200


async def test_requests_beyond_the_connections_wait_for_one(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address, limits=Limits(connections=1)))])
    # Each of Envoy's threads may have one, whatever the limit says.
    threads = max(2, min(8, os.cpu_count() or 2))
    count = threads + 6
    waiting = [asyncio.create_task(ask_once(port, "shop.test", "/wait")) for _ in range(count)]
    async with asyncio.timeout(5):
        while (await counted(router)).in_flight < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await arrived(apps[0], "/wait")
    assert len(apps[0].seen) <= threads
    apps[0].gate.set()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}


async def test_latencies_fall_into_our_buckets(router: EnvoyRouter, port: int, apps: Apps) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    for _ in range(10):
        await ask_once(port, "shop.test")
    slow = asyncio.create_task(ask_once(port, "shop.test", "/wait"))
    await arrived(apps[0], "/wait")
    await asyncio.sleep(0.4)
    apps[0].gate.set()
    await slow
    async with asyncio.timeout(5):
        while True:
            [(scope, found)] = (await router.statistics()).backends
            if sum(count for _, count in found.latency) == 11:
                break
            await asyncio.sleep(0.05)
    assert (scope, found.revision, found.requests) == (SCOPE, OLD, 11)
    assert {bound for bound, _ in found.latency} <= set(BOUNDS_MS)
    assert 0.39 <= found.latency[-1][0] / 1000 < 2
    assert sum(count for bound, count in found.latency if bound < 390) == 10
    assert found.latency_ms["p99"] == found.latency[-1][0]
    assert (await counted(router)) == found
