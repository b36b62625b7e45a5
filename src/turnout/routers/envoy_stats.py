"""Envoy's statistics of one cluster as traffic of one backend: pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from turnout.routers.envoy_clusters import cluster_name
from turnout.routers.port import BackendTraffic

_CLASSES = ("2xx", "3xx", "4xx", "5xx")
_QUANTILES = {"p50": "50", "p90": "90", "p99": "99"}
# Attempts that no instance answered.  Each retry follows one of them, so what is left after
# the retries are taken off is the requests that got no answer at all.
_FAILED_ATTEMPTS = (
    "upstream_rq_pending_failure_eject",
    "upstream_cx_none_healthy",
    "upstream_cx_destroy_remote_with_active_rq",
)
_IN_FLIGHT = ("upstream_rq_active", "upstream_rq_pending_active")


def traffic_pattern(name_prefix: str) -> str:
    """Return the RE2 expression for the statistics that :func:`to_traffic` needs.

    Args:
        name_prefix: A cluster's name, or its beginning with a slash at the end.
    """
    tail = "" if not name_prefix.endswith("/") else "[0-9a-f]{16}"
    wanted = "|".join(
        (
            "upstream_rq_completed",
            "upstream_rq_[2-5]xx",
            "upstream_rq_retry",
            "upstream_rq_time",
            *_FAILED_ATTEMPTS,
            *_IN_FLIGHT,
        )
    )
    return rf"^cluster\.{re.escape(name_prefix)}{tail}\.(?:{wanted})$"


def in_flight_pattern(name: str) -> str:
    """Return the RE2 expression for what :func:`in_flight` needs of the cluster *name*."""
    return rf"^cluster\.{re.escape(name)}\.(?:{'|'.join(_IN_FLIGHT)})$"


def in_flight(stats: Mapping[str, Any], name: str) -> int:
    """Return how many requests and streams the cluster *name* has under way."""
    return sum(int(stats.get(f"cluster.{name}.{stat}", 0)) for stat in _IN_FLIGHT)


def to_traffic(stats: Mapping[str, Any], scope: str, revision: str) -> BackendTraffic:
    """Return what Envoy counted for one backend."""
    name = cluster_name(scope, revision)

    def count(stat: str) -> int:
        return int(stats.get(f"cluster.{name}.{stat}", 0))

    failed = sum(count(stat) for stat in _FAILED_ATTEMPTS) - count("upstream_rq_retry")
    times = stats.get(f"cluster.{name}.upstream_rq_time", {})
    return BackendTraffic(
        revision=revision,
        requests=count("upstream_rq_completed"),
        by_class={kind: count(f"upstream_rq_{kind}") for kind in _CLASSES},
        failures=max(0, failed),
        in_flight=in_flight(stats, name),
        latency_ms={
            label: float(times[quantile])
            for label, quantile in _QUANTILES.items()
            if times.get(quantile) is not None
        },
    )
