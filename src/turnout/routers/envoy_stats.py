"""Envoy's statistics of one cluster as traffic of one backend: pure functions.

Envoy measures whole milliseconds.  Its histograms are merged once a second, so they lag the
counters by up to that.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from turnout.routers.envoy_clusters import MIRROR, cluster_name, mirror_name
from turnout.routers.port import BackendTraffic
from turnout.wire.statistics import BOUNDS_MS

_CLASSES = ("2xx", "3xx", "4xx", "5xx")
# Not ``upstream_rq_completed``: a change of a cluster's settings replaces the cluster, then
# the counts by class begin anew and that one does not.
_REQUESTS = ("1xx", *_CLASSES)
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_EJECTIONS = "outlier_detection.ejections_enforced_total"
_EVERY_CLUSTER = r"[a-z0-9-]+/[a-z0-9-]+/"
# Attempts that no instance answered.  Each retry follows one of them, so what is left after
# the retries are taken off is the requests that got no answer at all.  What a limit turns away
# is not tried again.
_FAILED_ATTEMPTS = (
    "upstream_rq_pending_failure_eject",
    "upstream_cx_none_healthy",
    "upstream_cx_destroy_remote_with_active_rq",
    "upstream_rq_pending_overflow",
    "upstream_rq_active_overflow",
)
_IN_FLIGHT = ("upstream_rq_active", "upstream_rq_pending_active")


def traffic_pattern(name_prefix: str) -> str:
    """Return the RE2 expression for the statistics that :func:`to_traffic` needs.

    Args:
        name_prefix: A cluster's name, its beginning with a slash at the end, or nothing for
            every cluster.
    """
    name = re.escape(name_prefix) or _EVERY_CLUSTER
    tail = f"[0-9a-f]{{16}}(?:/{MIRROR})?" if name.endswith("/") else ""
    wanted = "|".join(
        (
            "upstream_rq_[1-5]xx",
            "upstream_rq_retry",
            "upstream_rq_time",
            *_FAILED_ATTEMPTS,
            *_IN_FLIGHT,
            re.escape(_EJECTIONS),
        )
    )
    return rf"^cluster\.{name}{tail}\.(?:{wanted})$"


def in_flight_pattern(name: str) -> str:
    """Return the RE2 expression for what :func:`in_flight` needs of the cluster *name*."""
    return rf"^cluster\.{re.escape(name)}(?:/{MIRROR})?\.(?:{'|'.join(_IN_FLIGHT)})$"


def in_flight(stats: Mapping[str, Any], name: str) -> int:
    """Return how many requests, copies and streams the backend *name* has under way."""
    return sum(
        int(stats.get(f"cluster.{one}.{stat}", 0))
        for one in (name, f"{name}/{MIRROR}")
        for stat in _IN_FLIGHT
    )


def to_traffic(stats: Mapping[str, Any], scope: str, revision: str) -> BackendTraffic:
    """Return what Envoy counted for one backend, with the copies that it got."""
    name = cluster_name(scope, revision)
    names = (name, mirror_name(scope, revision))

    def count(stat: str) -> int:
        return sum(int(stats.get(f"cluster.{one}.{stat}", 0)) for one in names)

    failed = sum(count(stat) for stat in _FAILED_ATTEMPTS) - count("upstream_rq_retry")
    latency = _latency(
        [pair for one in names for pair in stats.get(f"cluster.{one}.upstream_rq_time", ())]
    )
    return BackendTraffic(
        revision=revision,
        requests=sum(count(f"upstream_rq_{kind}") for kind in _REQUESTS),
        by_class={kind: count(f"upstream_rq_{kind}") for kind in _CLASSES},
        failures=max(0, failed),
        in_flight=in_flight(stats, name),
        latency_ms={label: _quantile(latency, share) for label, share in _QUANTILES.items()}
        if latency
        else {},
        latency=latency,
        ejections=count(_EJECTIONS),
    )


def _latency(buckets: Sequence[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """Return the buckets under our own bounds.

    A process that was started by an older version counts into wider ones; what is beyond the
    last bound falls into the last bucket.
    """
    found: dict[float, int] = {}
    for bound, count in buckets:
        # Envoy's bounds travel through JSON and may come back a little rounded.
        at = bisect_left(BOUNDS_MS, bound * (1 - 1e-9))
        own = BOUNDS_MS[min(at, len(BOUNDS_MS) - 1)]
        found[own] = found.get(own, 0) + count
    return tuple(sorted(found.items()))


def _quantile(latency: Sequence[tuple[float, int]], share: float) -> float:
    """Return the bound below which at least *share* of all lie (nearest rank)."""
    rank = math.ceil(share * sum(count for _, count in latency))
    for bound, count in latency:
        rank -= count
        if rank <= 0:
            return bound
    return latency[-1][0]
