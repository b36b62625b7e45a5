"""States that contradict themselves are refused before a router sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.routers.sites import NEW, OLD, OLD_RELEASE, backend, site
from turnout.base.errors import InvalidInput
from turnout.routers.checks import check, preview_host, preview_hosts
from turnout.routers.port import HeaderRule, Site

GOOD = backend(OLD, "127.0.0.1:20001")


def test_a_plain_state_passes() -> None:
    rules = (HeaderRule("/assets/*", "X-Frame-Options", "DENY"),)
    static = backend(NEW, "unix:/run/o.sock", site=f"shop/production/{NEW}", headers=rules)
    check([site(GOOD, static, backend("c" * 16, "[::1]:80"), default=True)])
    check([])
    check([site()])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"scope": "shop"}, "project/environment"),
        ({"scope": "shop/production/x"}, "project/environment"),
        ({"scope": "Shop/production"}, "project/environment"),
        ({"scope": "shop/production\n"}, "project/environment"),
        ({"domains": ("SHOP.test",)}, "host name"),
        ({"domains": ("*",)}, "host name"),
        ({"domains": ("*.test",)}, "host name"),
        ({"domains": ("shop.test:80",)}, "host name"),
        ({"domains": ("shop..test",)}, "host name"),
        ({"domains": ("a" * 64,)}, "host name"),
        ({"domains": ("shop.test\n",)}, "host name"),
        ({"domains": ("",)}, "host name"),
        ({"domains": ("shop.test", "shop.test")}, "twice"),
        ({"domains": ("shop.test", preview_host(OLD_RELEASE, "shop.test"))}, "twice"),
        ({"weights": {OLD: 99}}, "99"),
        ({"weights": {OLD: 101}}, "between"),
        ({"weights": {OLD: -1}}, "between"),
        ({"weights": {NEW: 100}}, "without a backend"),
        ({"backends": (GOOD, GOOD)}, "twice"),
    ],
)
def test_contradictions_are_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check([replace(site(GOOD), **change)])
    assert why in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "A" * 16},
        {"release": "1" * 63},
        {"site": f"other/production/{OLD}"},
        {"addresses": ("localhost:80",)},
        {"addresses": ("127.0.0.1:0",)},
        {"addresses": ("127.0.0.1:65536",)},
        {"addresses": ("127.0.0.1:٣",)},
        {"addresses": ("unix:relative",)},
        {"addresses": ("unix:/" + "x" * 103,)},
        {"addresses": ("unix:/a\0b",)},
        {"headers": (HeaderRule("assets", "x-a", "1"),)},
        {"headers": (HeaderRule("/*", "x a", "1"),)},
        {"headers": (HeaderRule("/*", "x-a", "1\r\nset-cookie: x"),)},
        {"headers": (HeaderRule("/*", "Content-Length", "1"),)},
        {"headers": (HeaderRule("/*", "x-turnout-release", "1"),)},
        {"headers": (HeaderRule("/*", ":status", "1"),)},
    ],
)
def test_backends_that_no_router_could_hold_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check([site(replace(GOOD, **change), weights={})])


def test_one_scope_one_domain_and_one_default_a_host() -> None:
    other = replace(site(GOOD, scope="other/production"), domains=("other.test",))
    check([site(GOOD), other])
    for clash in (
        replace(other, domains=("shop.test",)),
        replace(other, scope="shop/production"),
    ):
        with pytest.raises(InvalidInput, match="contradicts"):
            check([site(GOOD), clash])
    with pytest.raises(InvalidInput, match="default"):
        check([replace(site(GOOD), default=True), replace(other, default=True)])


def test_a_release_has_one_preview_host_a_domain() -> None:
    twin = replace(backend(NEW, "127.0.0.1:20002"), release=OLD_RELEASE)
    both: Site = site(GOOD, twin, domains=("shop.test", "www.shop.test"))
    assert preview_hosts(both) == {
        "111111111111--shop.test": GOOD,
        "111111111111--www.shop.test": GOOD,
    }
    check([both])
