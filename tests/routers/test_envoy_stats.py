"""Envoy's counters as traffic."""

from __future__ import annotations

import re
from typing import Any

from tests.routers.sites import NEW, OLD, SCOPE
from turnout.routers.envoy_admin import _dechunk, _flatten
from turnout.routers.envoy_stats import in_flight, in_flight_pattern, to_traffic, traffic_pattern
from turnout.wire.statistics import BOUNDS_MS

PREFIX = f"cluster.{SCOPE}/{OLD}."


def test_retries_are_no_failures() -> None:
    stats: dict[str, Any] = {
        f"{PREFIX}upstream_rq_2xx": 9,
        f"{PREFIX}upstream_rq_5xx": 3,
        f"{PREFIX}upstream_rq_pending_failure_eject": 4,
        f"{PREFIX}upstream_cx_none_healthy": 1,
        f"{PREFIX}upstream_rq_retry": 3,
        f"{PREFIX}upstream_rq_active": 2,
        f"{PREFIX}upstream_rq_pending_active": 1,
        f"{PREFIX}upstream_rq_time": [(1.0, 8), (5.16, 3), (1e12, 1)],
    }
    found = to_traffic(stats, SCOPE, OLD)
    assert (found.requests, found.failures, found.in_flight) == (12, 2, 3)
    assert found.by_class == {"2xx": 9, "3xx": 0, "4xx": 0, "5xx": 3}
    assert found.latency == ((1.0, 8), (5.16, 3), (BOUNDS_MS[-1], 1))
    assert found.latency_ms == {"p50": 1.0, "p90": 5.16, "p99": BOUNDS_MS[-1]}
    assert in_flight(stats, f"{SCOPE}/{OLD}") == 3


def test_nothing_counted_is_all_zero() -> None:
    found = to_traffic({}, SCOPE, NEW)
    assert (found.requests, found.failures, found.in_flight) == (0, 0, 0)
    assert found.latency_ms == {}


def test_the_pattern_asks_for_one_scope_alone() -> None:
    pattern = traffic_pattern("shop/live/")
    assert re.search(pattern, f"cluster.shop/live/{OLD}.upstream_rq_2xx")
    assert not re.search(pattern, f"cluster.shop/live/{OLD}.external.upstream_rq_2xx")
    assert not re.search(pattern, f"cluster.shop/live2/{OLD}.upstream_rq_2xx")
    assert not re.search(pattern, f"cluster.eshop/live/{OLD}.upstream_rq_2xx")
    one = in_flight_pattern(f"shop/live/{OLD}")
    assert not re.search(one, f"cluster.shop/live/{NEW}.upstream_rq_active")


def test_one_pattern_asks_for_every_cluster() -> None:
    pattern = traffic_pattern("")
    assert re.search(pattern, f"cluster.shop/live/{OLD}.upstream_rq_time")
    assert re.search(pattern, f"cluster.a/b/{NEW}.outlier_detection.ejections_enforced_total")
    assert re.search(pattern, f"cluster.shop/live/{OLD}/mirror.upstream_rq_time")
    assert not re.search(pattern, f"cluster.shop/live/{OLD}.external.upstream_rq_time")
    assert not re.search(pattern, f"cluster.shop/live/{OLD}/other.upstream_rq_time")


def test_copies_count_for_the_revision_that_got_them() -> None:
    stats = {
        f"{PREFIX}upstream_rq_2xx": 2,
        f"{PREFIX}upstream_rq_time": [(1.0, 2)],
        f"cluster.{SCOPE}/{OLD}/mirror.upstream_rq_5xx": 3,
        f"cluster.{SCOPE}/{OLD}/mirror.upstream_rq_time": [(1.0, 1), (1.2, 2)],
        f"cluster.{SCOPE}/{OLD}/mirror.upstream_rq_active": 4,
    }
    found = to_traffic(stats, SCOPE, OLD)
    assert (found.requests, found.in_flight) == (5, 4)
    assert found.latency == ((1.0, 3), (1.2, 2))


def test_wider_buckets_of_an_older_process_fall_under_our_bounds() -> None:
    stats = {f"{PREFIX}upstream_rq_time": [(0.5, 3), (1.0, 1), (10.0, 4), (3_600_000.0, 2)]}
    found = to_traffic(stats, SCOPE, OLD).latency
    above_ten = min(bound for bound in BOUNDS_MS if bound >= 10)
    assert found == ((1.0, 4), (above_ten, 4), (BOUNDS_MS[-1], 2))


def test_the_admin_answer_is_flattened() -> None:
    buckets = [
        {"upper_bound": 1, "interval": 0, "cumulative": 2},
        {"upper_bound": 1.095, "interval": 0, "cumulative": 0},
        {"upper_bound": 1e12, "interval": 1, "cumulative": 1},
    ]
    document = {
        "stats": [
            {"name": "a", "value": 1},
            {"histograms": [{"name": "h", "buckets": buckets}]},
        ]
    }
    assert _flatten(document) == {"a": 1, "h": [(1.0, 2), (1e12, 1)]}


def test_chunks_are_joined() -> None:
    assert _dechunk(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"
