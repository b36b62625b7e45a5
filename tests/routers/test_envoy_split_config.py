"""What is rendered for a split, a mirror, limits and addresses: plain values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routers.sites import NEW, OLD, SCOPE, backend, site
from turnout.base.errors import InvalidInput
from turnout.routers.checks import check
from turnout.routers.envoy_clusters import clusters, mirror_name
from turnout.routers.envoy_command import read_note
from turnout.routers.envoy_endpoints import EndpointFiles, assignment, backends, choose
from turnout.routers.envoy_routes import routes
from turnout.routers.envoy_split import has_slot, slots
from turnout.routers.port import Limits, Mirror, Site, Split
from turnout.routers.port import Tester as Mark

BASE = "c" * 16
NAME, OTHER = f"{SCOPE}/{OLD}", f"{SCOPE}/{NEW}"


def split(new: int, base: int, rest: tuple[int, int] = (0, 0), **more: Any) -> Site:
    more = {"candidate": NEW, "baseline": BASE, "sticky": True, **more}
    weights = {"d" * 16: rest[0], OLD: 100 - new - base - sum(rest), BASE: base, NEW: new}
    return site(
        *(backend(revision, "127.0.0.1:1") for revision in (OLD, NEW, BASE, "d" * 16)),
        weights=weights,
        split=Split(**more),
    )


@given(st.integers(1, 50), st.integers(0, 25), st.integers(0, 25))
def test_every_slot_has_one_owner_and_the_candidate_the_first_ones(
    new: int, base: int, rest: int
) -> None:
    wanted = split(new, base, (rest, 0))
    owned = slots(wanted)
    assert sorted(slot for of in owned.values() for slot in of) == list(range(100))
    assert {r: len(of) for r, of in owned.items()} == {r: w for r, w in wanted.weights.items() if w}
    assert owned[NEW] == range(new)
    assert not base or owned[BASE] == range(100 - base, 100)


@given(st.sets(st.integers(0, 99), min_size=1))
def test_the_expression_for_slots_matches_them_and_nothing_else(owned: set[int]) -> None:
    [cookie] = has_slot(NEW, owned)["cookies"]
    expression = cookie["string_match"]["safe_regex"]["regex"]
    for slot in range(100):
        assert bool(re.fullmatch(expression, f"{NEW[:8]}.{slot}")) == (slot in owned)
    for wrong in ("", ".", f"{NEW[:8]}.", f"{NEW[:8]}.100", f"{NEW[:8]}.07", f"{OLD[:8]}.7"):
        assert not re.fullmatch(expression, wrong)


def test_without_weight_for_the_candidate_nobody_has_a_slot() -> None:
    assert slots(split(0, 0)) == {}
    assert slots(split(10, 10, sticky=False)) == {}
    assert "set-cookie" not in json.dumps(routes([split(0, 0)]))


def test_a_split_stays_small() -> None:
    plain = len(json.dumps(routes([split(25, 25, sticky=False)])))
    assert len(json.dumps(routes([split(25, 25)]))) < plain + 25_000


@pytest.mark.parametrize(
    "more",
    [
        {"mirror": Mirror("e" * 16, 10)},
        {"mirror": Mirror(NEW, 0)},
        {"mirror": Mirror(NEW, 101)},
        {"split": Split(candidate="short")},
        {"split": Split(candidate=NEW, baseline=NEW)},
        {"split": Split(candidate=NEW, testers=(Mark(),))},
        {"split": Split(candidate=NEW, testers=(Mark(header="a", cookie="b", value="c"),))},
        {"split": Split(candidate=NEW, testers=(Mark(header="a b"),))},
        {"split": Split(candidate=NEW, testers=(Mark(header="a", value="b\r\n"),))},
        {"split": Split(candidate=NEW, testers=(Mark(cookie="a"),))},
    ],
)
def test_what_contradicts_itself_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check([site(backend(OLD, "127.0.0.1:1"), backend(NEW, "127.0.0.1:2"), **more)])


@pytest.mark.parametrize("limits", [Limits(connections=0), Limits(requests=-1)])
def test_a_limit_lets_something_through(limits: Limits) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        check([site(backend(OLD, "127.0.0.1:1", limits=limits))])


def test_limits_become_thresholds_and_no_limit_is_far_away() -> None:
    limited = backend(OLD, "127.0.0.1:1", limits=Limits(connections=7, requests=9))
    found = clusters([site(limited, backend(NEW, "127.0.0.1:2"))])
    [thresholds] = found[NAME]["circuit_breakers"]["thresholds"]
    assert (thresholds["max_connections"], thresholds["max_requests"]) == (7, 9)
    [others] = found[OTHER]["circuit_breakers"]["thresholds"]
    assert min(others.values()) >= 1_000_000


def test_never_all_instances_are_ejected() -> None:
    [cluster] = clusters([site(backend(OLD, "127.0.0.1:1"))]).values()
    outliers = cluster["outlier_detection"]
    assert outliers["max_ejection_percent"] == 50
    assert not outliers.get("always_eject_one_host", False)


def test_those_that_drain_are_marked() -> None:
    found = assignment("x", backend(OLD, "127.0.0.1:1", "unix:/a", draining=("unix:/a",)))
    [group] = found["endpoints"]
    assert [e.get("health_status") for e in group["lb_endpoints"]] == [None, "DRAINING"]


def test_only_apps_have_files_of_addresses_and_those_that_have_one_keep_it() -> None:
    static = backend(BASE, "unix:/a", site=f"{SCOPE}/{BASE}")
    wanted = backends([site(backend(OLD, "127.0.0.1:1"), backend(NEW, "127.0.0.1:2"), static)])
    assert choose(wanted, (), 10) == {NAME, OTHER}
    assert choose(wanted, (), 1) == {NAME}
    assert choose(wanted, (OTHER,), 1) == {OTHER}
    assert choose(wanted, (NAME, OTHER), 0) == {NAME, OTHER}


def test_a_change_of_addresses_does_not_change_a_cluster_with_a_file(tmp_path: Path) -> None:
    files = EndpointFiles(tmp_path / "endpoints")
    found = [
        clusters([site(backend(OLD, *addresses))], {NAME}, files.path)[NAME]
        for addresses in ((), ("127.0.0.1:1",), ("127.0.0.1:1", "127.0.0.1:2"))
    ]
    assert found[0] == found[1] == found[2]
    assert files.write(NAME, backend(OLD))
    assert not files.write(NAME, backend(OLD))
    assert files.write(NAME, backend(OLD, "127.0.0.1:1"))
    assert EndpointFiles(tmp_path / "endpoints").version(NAME) == files.version(NAME)
    files.keep(())
    assert list((tmp_path / "endpoints").iterdir()) == []


def test_the_cluster_for_copies_stays_with_its_backend() -> None:
    both = (backend(OLD, "127.0.0.1:1"), backend(NEW, "127.0.0.1:2"))
    copies = mirror_name(SCOPE, NEW)
    with_mirror = clusters([site(*both, mirror=Mirror(NEW, 5))])
    assert set(with_mirror) == {NAME, OTHER, copies}
    assert set(clusters([site(*both)])) == {NAME, OTHER}
    assert set(clusters([site(*both)], known=with_mirror)) == {NAME, OTHER, copies}
    assert set(clusters([site(both[0])], known=with_mirror)) == {NAME}


def test_an_older_note_is_understood() -> None:
    old = read_note("127.0.0.1:80 abc")
    assert (old.listen, old.digest, old.version, old.epoch) == ("127.0.0.1:80", "abc", "-", 0)
    assert read_note("").listen == ""
    new = read_note("127.0.0.1:80 abc 1.40.0 3 ff")
    assert (read_note(str(new)), new.epoch) == (new, 3)
    assert old.differs(read_note("127.0.0.1:80 abc 1.40.0 0 1")) is False
    assert new.differs(read_note("127.0.0.1:80 abc 1.40.1 0 1"))
