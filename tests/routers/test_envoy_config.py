"""What is rendered for Envoy: plain values that follow from the wanted state alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, SCOPE, backend, site
from turnout.routers.checks import check
from turnout.routers.envoy_bootstrap import bootstrap
from turnout.routers.envoy_clusters import clusters
from turnout.routers.envoy_files import ResourceFile
from turnout.routers.envoy_headers import pattern_to_regex, rule_headers
from turnout.routers.envoy_routes import release_prefix_regex, routes
from turnout.routers.port import HeaderRule, Site

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)


@st.composite
def wanted(draw: st.DrawFn) -> list[Site]:
    """States that pass the checks: several sites, backends and weights."""
    scopes = draw(st.lists(st.tuples(NAMES, NAMES), max_size=3, unique=True))
    default = draw(st.integers(0, 3))
    found = []
    for number, (project, environment) in enumerate(scopes):
        revisions = draw(st.lists(HEX, max_size=4, unique=True))
        cut = draw(st.integers(0, 100))
        weights = {}
        if len(revisions) > 1 and draw(st.booleans()):
            weights = {revisions[0]: cut, revisions[1]: 100 - cut}
        elif revisions:
            weights = {revisions[-1]: 100}
        backends = [backend(name, f"127.0.0.1:{20000 + number}") for name in revisions]
        domains = (f"d{number}.test",) if draw(st.booleans()) else ()
        more: dict[str, Any] = {"scope": f"{project}/{environment}", "domains": domains}
        found.append(site(*backends, weights=weights, default=number == default, **more))
    return found


@given(wanted())
def test_every_route_leads_to_a_cluster_that_is_there(sites: list[Site]) -> None:
    check(sites)
    known = clusters(sites)
    hosts = routes(sites)["virtual_hosts"]
    for host in hosts:
        for route in host["routes"]:
            for target in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
                assert target["name"] in known
                assert 0 < target["weight"] <= 100


@given(wanted())
def test_each_domain_appears_once_and_the_rest_has_an_answer(sites: list[Site]) -> None:
    domains = [d for host in routes(sites)["virtual_hosts"] for d in host["domains"]]
    assert len(domains) == len(set(domains))
    assert domains.count("*") == 1


@given(wanted())
def test_weights_of_the_live_route_are_those_asked_for(sites: list[Site]) -> None:
    by_name = {host["name"]: host for host in routes(sites)["virtual_hosts"]}
    for wanted_site in sites:
        if not (wanted_site.domains or wanted_site.default):
            continue
        if wanted_site.domains:
            live = by_name[wanted_site.scope]["routes"][-1]
        else:
            live = by_name["*"]["routes"][-2]
        asked = {f"{wanted_site.scope}/{r}": w for r, w in wanted_site.weights.items() if w}
        if not asked:
            assert live["direct_response"]["status"] == 503
        else:
            targets = live["route"]["weighted_clusters"]["clusters"]
            assert {target["name"]: target["weight"] for target in targets} == asked


def test_streams_and_uploads_have_no_deadline_and_bodies_no_buffer() -> None:
    config = routes([site(backend(OLD, "127.0.0.1:1"))])
    actions = [r["route"] for h in config["virtual_hosts"] for r in h["routes"] if "route" in r]
    assert {action["timeout"] for action in actions} == {"0s"}
    retried = config["virtual_hosts"][0]["retry_policy"]["retry_on"].split(",")
    assert set(retried) == {"connect-failure", "refused-stream", "reset-before-request"}
    text = json.dumps(bootstrap(("127.0.0.1", 80), Path("/a"), Path("/c"), Path("/r"), Path("/l")))
    assert '"stream_idle_timeout": "0s"' in text
    assert "buffer.v3" not in text


def test_internal_headers_are_set_or_taken_away_for_every_backend() -> None:
    static = backend(OLD, "unix:/o.sock", site=f"{SCOPE}/{OLD}")
    config = routes([site(static, backend(NEW, "127.0.0.1:1"), weights={OLD: 50, NEW: 50})])
    targets = [
        target
        for host in config["virtual_hosts"]
        for route in host["routes"]
        if "route" in route
        for target in route["route"]["weighted_clusters"]["clusters"]
    ]
    for target in targets:
        added = {
            entry["header"]["key"]: (entry["header"]["value"], entry["append_action"])
            for entry in target.get("request_headers_to_add", [])
        }
        if target["name"].endswith(OLD):
            overwrite = "OVERWRITE_IF_EXISTS_OR_ADD"
            assert added == {
                "x-turnout-site": (f"{SCOPE}/{OLD}", overwrite),
                "x-turnout-spa": ("0", overwrite),
            }
        else:
            assert target["request_headers_to_remove"] == ["x-turnout-site", "x-turnout-spa"]
    # Removed further out it would be gone after the cluster had added it.
    assert not {"x-turnout-site", "x-turnout-spa"} & set(config["request_headers_to_remove"])


@given(st.text("0123456789abcdef", max_size=70))
def test_only_long_enough_prefixes_name_a_release(text: str) -> None:
    for value in (text, NEW_RELEASE[: len(text)], OLD_RELEASE[: len(text)]):
        expected = len(value) >= 12 and NEW_RELEASE.startswith(value)
        assert bool(re.fullmatch(release_prefix_regex(NEW_RELEASE), value)) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/assets/*", "/assets/a/b.js", True),
        ("/assets/*", "/assets", False),
        ("/*.js", "/a/b.js", True),
        ("/*.js", "/a/bxjs", False),
        ("/a+b", "/a+b", True),
        ("/a+b", "/aab", False),
        ("*", "/", True),
        ("/grüße/*", "/gr%C3%BC%C3%9Fe/x", True),
        ("/a b", "/a%20b", True),
        ("/", "/x", False),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    assert bool(re.fullmatch(pattern_to_regex(pattern), path)) is matches


@given(st.text(), st.text(), st.from_regex(r"[a-z-]{1,10}", fullmatch=True))
def test_a_rule_cannot_break_out_of_its_expression(pattern: str, value: str, name: str) -> None:
    [entry] = rule_headers([HeaderRule(pattern, name, value)])
    text = entry["header"]["value"]
    assert text.startswith("%CEL(")
    assert text.endswith(")%")
    inner = re.sub(r"'(?:[0-9A-Za-z]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*'", "S", text[5:-2])
    plain = "(request.url_path.matches(S) ? S : S)"
    assert inner in (plain, f"(response.code < 400 ? {plain} : S)")


def test_a_file_is_replaced_at_once_and_read_back(tmp_path: Path) -> None:
    file = ResourceFile(tmp_path / "clusters.json")
    assert file.read() == []
    before = tmp_path / "clusters.json"
    version = file.write([{"name": "a"}])
    inode = before.stat().st_ino
    assert file.write([{"name": "b"}]) != version
    assert before.stat().st_ino != inode
    again = ResourceFile(before)
    assert (again.read(), again.version) == ([{"name": "b"}], file.version)
    assert again.write([{"name": "a"}]) == version
    assert [path.name for path in tmp_path.glob("*")] == ["clusters.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"resources": 3}', b"\xff"])
def test_a_damaged_file_counts_as_empty(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "x.json").write_bytes(damage)
    assert ResourceFile(tmp_path / "x.json").read() == []
