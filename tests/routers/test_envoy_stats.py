"""Envoy's counters as traffic."""

from __future__ import annotations

import re
from typing import Any

from tests.routers.sites import NEW, OLD, SCOPE
from turnout.routers.envoy_admin import _dechunk, _flatten
from turnout.routers.envoy_stats import in_flight, in_flight_pattern, to_traffic, traffic_pattern

PREFIX = f"cluster.{SCOPE}/{OLD}."


def test_retries_are_no_failures() -> None:
    stats: dict[str, Any] = {
        f"{PREFIX}upstream_rq_completed": 12,
        f"{PREFIX}upstream_rq_2xx": 9,
        f"{PREFIX}upstream_rq_5xx": 3,
        f"{PREFIX}upstream_rq_pending_failure_eject": 4,
        f"{PREFIX}upstream_cx_none_healthy": 1,
        f"{PREFIX}upstream_rq_retry": 3,
        f"{PREFIX}upstream_rq_active": 2,
        f"{PREFIX}upstream_rq_pending_active": 1,
        f"{PREFIX}upstream_rq_time": {"50": 1.5, "90": 3, "99": None},
    }
    found = to_traffic(stats, SCOPE, OLD)
    assert (found.requests, found.failures, found.in_flight) == (12, 2, 3)
    assert found.by_class == {"2xx": 9, "3xx": 0, "4xx": 0, "5xx": 3}
    assert found.latency_ms == {"p50": 1.5, "p90": 3.0}
    assert in_flight(stats, f"{SCOPE}/{OLD}") == 3


def test_nothing_counted_is_all_zero() -> None:
    found = to_traffic({}, SCOPE, NEW)
    assert (found.requests, found.failures, found.in_flight) == (0, 0, 0)
    assert found.latency_ms == {}


def test_the_pattern_asks_for_one_scope_alone() -> None:
    pattern = traffic_pattern("shop/live/")
    assert re.search(pattern, f"cluster.shop/live/{OLD}.upstream_rq_completed")
    assert not re.search(pattern, f"cluster.shop/live/{OLD}.external.upstream_rq_completed")
    assert not re.search(pattern, f"cluster.shop/live2/{OLD}.upstream_rq_completed")
    assert not re.search(pattern, f"cluster.eshop/live/{OLD}.upstream_rq_completed")
    one = in_flight_pattern(f"shop/live/{OLD}")
    assert not re.search(one, f"cluster.shop/live/{NEW}.upstream_rq_active")


def test_the_admin_answer_is_flattened() -> None:
    document = {
        "stats": [
            {"name": "a", "value": 1},
            {
                "histograms": {
                    "supported_quantiles": [50, 99.5],
                    "computed_quantiles": [
                        {
                            "name": "h",
                            "values": [
                                {"cumulative": 2, "interval": None},
                                {"cumulative": None, "interval": None},
                            ],
                        }
                    ],
                }
            },
        ]
    }
    assert _flatten(document) == {"a": 1, "h": {"50": 2, "99.5": None}}


def test_chunks_are_joined() -> None:
    assert _dechunk(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"
