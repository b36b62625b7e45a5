"""Real Envoy: what an app and a client see of headers, hosts and paths."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, SCOPE, backend, site
from tests.routers.upstream import Answer, Client, Upstream, ask_once
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.port import HeaderRule

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]


def seen(answer: Answer) -> dict[str, Any]:
    """Return the request's headers as the app saw them."""
    headers: dict[str, Any] = json.loads(answer.body)["headers"]
    return headers


async def test_a_client_cannot_forge_the_static_root(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    root = f"{SCOPE}/{OLD}"
    static = backend(OLD, apps[0].address, site=root, spa=True)
    await router.apply([site(static, backend(NEW, apps[1].address), weights={OLD: 100})])
    forged = {
        "X-Turnout-Site": "victim/production/" + "c" * 16,
        "x-turnout-spa": "7",
        "x_turnout_site": "victim/production/" + "c" * 16,
    }
    headers = seen(await ask_once(port, "shop.test", headers=forged))
    assert (headers["x-turnout-site"], headers["x-turnout-spa"]) == (root, "1")
    assert "x_turnout_site" not in headers
    preview = await ask_once(port, f"{NEW_RELEASE[:12]}--shop.test", headers=forged)
    assert not [name for name in seen(preview) if "site" in name or "spa" in name]


async def test_the_release_header_tells_who_answered_whatever_the_app_says(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    apps[0].extra_headers = {"X-Turnout-Release": "a lie"}
    await router.apply([site(backend(OLD, apps[0].address))])
    answer = await ask_once(port, "shop.test")
    assert answer.headers["x-turnout-release"] == OLD_RELEASE


async def test_forwarding_headers_tell_the_truth(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    lies = {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.test",
        "x-forwarded-port": "1",
        "x-real-ip": "203.0.113.9",
        "forwarded": "for=203.0.113.9",
        "x-request-id": "mine",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/secret",
        "x-envoy-internal": "true",
    }
    headers = seen(await ask_once(port, f"shop.test:{port}", headers=lies))
    # For a peer on loopback Envoy names the host's own address.
    claimed, real = headers["x-forwarded-for"].split(",")
    assert (claimed, real) != ("203.0.113.9", "203.0.113.9")
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == headers["host"] == f"shop.test:{port}"
    assert headers["x-forwarded-port"] == str(port)
    assert headers["x-real-ip"] == "127.0.0.1"
    assert headers["x-request-id"] != "mine"
    assert not [name for name in headers if name == "forwarded" or name.startswith("x-envoy")]


async def test_the_default_site_answers_on_the_bare_address_and_on_no_strange_name(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address), default=True)])
    for host in (f"127.0.0.1:{port}", "127.0.0.1", "10.1.2.3:80", f"localhost:{port}", "[::1]"):
        assert (await ask_once(port, host)).status == 200, host
    previews = (f"{NEW_RELEASE[:12]}--shop.test", f"{OLD_RELEASE[:12]}--other.test")
    for host in ("evil.test", "10.1.2.3.evil.test", "localhost.evil.test", *previews):
        assert (await ask_once(port, host)).status == 404, host


async def test_http_1_0_is_answered_with_and_without_a_host(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address), default=True)])
    for host in (b"Host: shop.test\r\n", b""):
        stream = await anyio.connect_tcp("127.0.0.1", port)
        async with stream:
            await stream.send(b"GET / HTTP/1.0\r\n" + host + b"\r\n")
            assert b" 200 " in (await stream.receive()).partition(b"\r\n")[0]


@pytest.mark.parametrize("host", ["shop.test", "shop.test:8080", "SHOP.test", "shop.test:80"])
async def test_hosts_match_with_any_port_and_case(
    router: EnvoyRouter, port: int, apps: Apps, host: str
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    assert (await ask_once(port, host)).status == 200


@pytest.mark.parametrize(
    ("path", "status", "forwarded"),
    [
        ("/a/../b", 200, "/b"),
        ("//a///b", 200, "/a/b"),
        ("/a/%2e%2e/b", 200, "/b"),
        ("/a%2fb", 400, ""),
        ("/a%5cb", 400, ""),
    ],
)
async def test_paths_are_made_plain_or_refused(
    router: EnvoyRouter, port: int, apps: Apps, path: str, status: int, forwarded: str
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    client = Client(port)
    answer = await client.head("GET", path)
    assert answer.status == status
    if status == 200:
        assert (await ask_once(port, "shop.test", path)).body.find(f'"{forwarded}"'.encode()) > 0
    await client.close()


async def test_header_rules_belong_to_their_release_and_the_first_match_wins(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    rules = (
        HeaderRule("/assets/*.js", "Cache-Control", "public, max-age=9"),
        HeaderRule("/assets/*", "cache-control", "public, max-age=5"),
        HeaderRule("*", "Content-Security-Policy", "default-src 'self' \"x\" %41 {{ }} \\ ;"),
        HeaderRule("/a b(c)*", "X-Odd", "50 %"),
    )
    apps[0].extra_headers = {"cache-control": "the app's", "x-odd": "the app's"}
    old = backend(OLD, apps[0].address, headers=rules)
    await router.apply([site(old, backend(NEW, apps[1].address))])

    async def headers(path: str, **more: str) -> dict[str, str]:
        return (await ask_once(port, "shop.test", path, more)).headers

    script = await headers("/assets/x.js?y=/no")
    assert script["cache-control"] == "public, max-age=9"
    assert script["content-security-policy"] == rules[2].value
    assert script["x-odd"] == "the app's"
    assert (await headers("/assets/x.css"))["cache-control"] == "public, max-age=5"
    assert (await headers("/other"))["cache-control"] == "the app's"
    assert (await headers("/a%20b(c)/d"))["x-odd"] == "50 %"
    missing = await headers("/assets/status=404")
    assert missing["cache-control"] == "the app's"
    assert missing["content-security-policy"] == rules[2].value
    other = await headers("/assets/x.js", **{"x-turnout-release": NEW_RELEASE})
    assert "content-security-policy" not in other
    apps[0].extra_headers = {}


async def test_two_revisions_of_one_release_share_a_preview_host(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    twin = replace(backend(NEW, apps[1].address), release=OLD_RELEASE)
    await router.apply([site(backend(OLD, apps[0].address), twin)])
    answer = await ask_once(port, f"{OLD_RELEASE[:12]}--shop.test")
    assert b'"old"' in answer.body


async def test_failures_count_what_no_instance_answered(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address), backend(NEW))])
    assert (await ask_once(port, "shop.test", "/status=500")).status == 500
    assert (await ask_once(port, "shop.test", "/reset")).status == 503
    nobody = {"x-turnout-release": NEW_RELEASE}
    assert (await ask_once(port, "shop.test", headers=nobody)).status == 503
    await apps[0].stop()
    assert (await ask_once(port, "shop.test")).status == 503
    counted = {entry.revision: entry for entry in await router.traffic(SCOPE)}
    assert (counted[OLD].requests, counted[OLD].failures) == (3, 2)
    assert (counted[NEW].requests, counted[NEW].failures) == (1, 1)


async def test_quantiles_appear_with_the_next_flush(
    router: EnvoyRouter, port: int, apps: Apps
) -> None:
    await router.apply([site(backend(OLD, apps[0].address))])
    for _ in range(20):
        await ask_once(port, "shop.test")
    with anyio.fail_after(5):
        while not (latency := (await router.traffic(SCOPE))[0].latency_ms):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    assert set(latency) == {"p50", "p90", "p99"}
    assert 0 <= latency["p50"] <= latency["p99"] < 5000
