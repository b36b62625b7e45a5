"""Real Envoy: the access log of a site that asks for one, and what it must not tell."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.routers.sites import NEW, NEW_RELEASE, OLD, SCOPE, backend, site
from tests.routers.upstream import Upstream, ask_once
from turnout.routers import envoy_logs
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import Mirror, Split

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]


async def lines(router: EnvoyRouter, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while True:
            written = router.access_log.read_text() if router.access_log.exists() else ""
            found = [json.loads(line) for line in written.splitlines()]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_it_is_written_for_sites_that_ask_and_tells_no_secret(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    quiet = site(backend(NEW, apps[1].address), scope="quiet/live", domains=("quiet.test",))
    await router.apply([site(backend(OLD, apps[0].address)), quiet])
    await ask_once(port, "shop.test", "/unseen")
    await router.apply([site(backend(OLD, apps[0].address), access_log=True), quiet])
    secret = {
        "authorization": "Bearer s3cret",
        "cookie": "session=s3cret",
        "x-api-key": "s3cret",
        "referer": "http://shop.test/?token=s3cret",
        "user-agent": 'odd "agent"',
    }
    await ask_once(port, "shop.test", "/a/b?token=s3cret&x=1", secret)
    await ask_once(port, "quiet.test", "/unseen")
    await ask_once(port, "other.test", "/unseen")
    await ask_once(port, "shop.test", "/c?status=500", method="POST")
    first, second = await lines(router, 2)
    assert (first["scope"], first["backend"]) == (SCOPE, f"{SCOPE}/{OLD}")
    assert (first["method"], first["path"], first["status"]) == ("GET", "/a/b", 200)
    assert (first["address"], first["agent"]) == (apps[0].address, 'odd "agent"')
    assert (second["method"], second["path"], second["status"]) == ("POST", "/c", 500)
    text = router.access_log.read_text()
    assert "s3cret" not in text
    assert "unseen" not in text
    await router.apply([site(backend(OLD, apps[0].address)), quiet])
    await ask_once(port, "shop.test", "/unseen")
    await router.stop()
    assert router.access_log.read_text() == text


async def test_previews_slots_and_copies_are_logged_as_one_request_each(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    wanted = site(
        backend(OLD, apps[0].address),
        backend(NEW, apps[1].address),
        split=Split(candidate=OLD, sticky=True),
        mirror=Mirror(NEW, 100),
        access_log=True,
    )
    await router.apply([wanted])
    await ask_once(port, "shop.test", "/slot")
    await ask_once(port, "shop.test", "/named", {"x-turnout-release": NEW_RELEASE})
    await ask_once(port, f"{NEW_RELEASE[:12]}--shop.test", "/preview")
    found = await lines(router, 3)
    assert [(line["path"], line["backend"][-16:]) for line in found] == [
        ("/slot", OLD),
        ("/named", NEW),
        ("/preview", NEW),
    ]


async def test_it_does_not_grow_for_ever(
    router: EnvoyRouter, port: int, apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_logs, "ACCESS_LIMIT_BYTES", 1000)
    await router.apply([site(backend(OLD, apps[0].address), access_log=True)])
    for _ in range(10):
        await ask_once(port, "shop.test", "/before")
    await lines(router, 10)
    assert await router.alive()
    old = router.access_log.with_name("access.log.1")
    assert old.read_text().count("/before") == 10
    await ask_once(port, "shop.test", "/after")
    [line] = await lines(router, 1)
    assert line["path"] == "/after"
