"""Real Envoy: copies of safe requests reach a shadow, and nobody notices."""

from __future__ import annotations

import asyncio

import pytest

from tests.routers.sites import NEW, OLD, OLD_RELEASE, SCOPE, backend, site
from tests.routers.upstream import Client, Upstream, ask_once
from turnout.routers import envoy_clusters
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Backend, Mirror, Site, Split

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]


def shadowed(old: Backend, new: Backend, percent: int = 100, **more: object) -> Site:
    return site(old, new, weights={OLD: 100}, mirror=Mirror(NEW, percent), **more)


async def copied(app: Upstream, path: str) -> tuple[str, str, dict[str, str]]:
    """Return the copy that arrives for *path*."""
    async with asyncio.timeout(5):
        while True:
            for request in app.seen:
                if request[1] == path:
                    return request
            await asyncio.sleep(0.005)


async def test_safe_requests_are_copied_and_no_others(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([shadowed(backend(OLD, apps[0].address), backend(NEW, apps[1].address))])
    answer = await ask_once(port, "shop.test", "/get?a=b", {"authorization": "x"})
    assert answer.headers["x-turnout-release"] == OLD_RELEASE
    method, _, headers = await copied(apps[1], "/get?a=b")
    assert (method, headers["host"]) == ("GET", "shop.test")
    await ask_once(port, "shop.test", "/head", method="HEAD")
    await copied(apps[1], "/head")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        await ask_once(port, "shop.test", f"/{method}", {"content-length": "0"}, method)
    await Client(port).upload(chunks=2, pause_s=0)
    stream = Client(port)
    await stream.head("GET", "/events", {"accept": "text/event-stream"})
    socket = Client(port)
    await socket.upgrade()
    for client in (stream, socket):
        await client.close()
    # Copies are sent in order of their requests, so the last one tells that no other comes.
    await ask_once(port, "shop.test", "/last")
    await copied(apps[1], "/last")
    assert [path for _, path, _ in apps[1].seen] == ["/get?a=b", "/head", "/last"]


async def test_a_shadow_that_fails_or_hangs_is_noticed_by_nobody_but_its_own_counters(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    old, new = backend(OLD, apps[0].address), backend(NEW, apps[1].address)
    await router.apply([shadowed(old, new)])
    for number in range(3):
        answer = await ask_once(port, "shop.test", f"/{number}?status=500")
        assert answer.status == 500
    apps[0].gate.set()
    assert (await ask_once(port, "shop.test", "/wait")).status == 200
    await copied(apps[1], "/wait")
    async with asyncio.timeout(5):
        while True:
            counted = {one.revision: one for one in await router.traffic(SCOPE)}
            if counted[NEW].by_class["5xx"] == 3:
                break
            await asyncio.sleep(0.02)
    assert (counted[OLD].requests, counted[NEW].requests) == (4, 3)
    assert counted[NEW].in_flight == 1
    assert await router.wait_idle(SCOPE, NEW, 0) == 1
    await router.apply([site(old, new)])
    apps[1].gate.set()
    assert await router.wait_idle(SCOPE, NEW, 5) == 0
    async with asyncio.timeout(5):
        while True:
            [(_, _), (_, shadow)] = (await router.statistics()).backends
            if sum(count for _, count in shadow.latency) == 4:
                break
            await asyncio.sleep(0.05)
    assert (shadow.revision, shadow.requests, shadow.failures) == (NEW, 4, 0)


async def test_a_copy_that_hangs_is_given_up(
    router: EnvoyRouter, port: int, apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_clusters, "_MIRROR_LONGEST", "0.3s")
    apps[0].gate.set()
    await router.apply([shadowed(backend(OLD, apps[0].address), backend(NEW, apps[1].address))])
    assert (await ask_once(port, "shop.test", "/wait")).status == 200
    await copied(apps[1], "/wait")
    assert await router.wait_idle(SCOPE, NEW, 10) == 0
    assert not apps[1].gate.is_set()
    # A live request may take as long as it likes.
    apps[0].gate.clear()
    slow = asyncio.create_task(ask_once(port, "shop.test", "/wait"))
    await asyncio.sleep(0.6)
    apps[0].gate.set()
    assert (await slow).status == 200


async def test_copies_for_a_static_origin_name_the_shadow_s_root(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    old = backend(OLD, apps[0].address, site=f"{SCOPE}/{OLD}", spa=True)
    new = backend(NEW, apps[1].address, site=f"{SCOPE}/{NEW}")
    await router.apply([shadowed(old, new)])
    await ask_once(port, "shop.test", "/a")
    headers = (await copied(apps[1], "/a"))[2]
    assert (headers["x-turnout-site"], headers["x-turnout-spa"]) == (f"{SCOPE}/{NEW}", "0")
    await router.apply([shadowed(old, backend(NEW, apps[1].address))])
    await ask_once(port, "shop.test", "/b")
    headers = (await copied(apps[1], "/b"))[2]
    assert not {"x-turnout-site", "x-turnout-spa"} & set(headers)
    assert apps[0].seen[-1][2]["x-turnout-site"] == f"{SCOPE}/{OLD}"


async def test_a_share_of_requests_is_copied_also_while_clients_are_told_apart(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    split = Split(candidate=OLD, sticky=True)
    old, new = backend(OLD, apps[0].address), backend(NEW, apps[1].address)
    await router.apply([shadowed(old, new, 30, split=split)])
    client = Client(port)
    for _ in range(600):
        assert len((await client.get()).cookies) == 1
    await client.close()
    await router.apply([shadowed(old, new, 100)])
    await ask_once(port, "shop.test", "/last")
    await copied(apps[1], "/last")
    # 600 draws of 0.3: six standard deviations are 67.
    assert 110 < len(apps[1].seen) - 1 < 250
