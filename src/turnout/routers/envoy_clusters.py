"""Backends as Envoy clusters, one a revision of a scope: pure functions.

The addresses of some clusters stand in files of their own (:mod:`turnout.routers.envoy_endpoints`):
a change of them leaves the cluster and its counts of requests per instance alone, while any
change of the cluster itself replaces it by a new one that knows nothing of requests under way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from turnout.routers.envoy_endpoints import assignment
from turnout.routers.port import Backend, Limits, Site

_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Servers close idle connections (gunicorn after 2 s, Node and uvicorn after 5 s); a request
# that is written just then is lost.  So we close first.  A new local connection is cheap.
UPSTREAM_IDLE_TIMEOUT = "1s"
CONNECT_TIMEOUT = "2s"
# Envoy's own limits (1024 connections, 3 retries at a time) would turn a burst into 503s.
_NO_LIMIT = 1_000_000
# Copies whose answers nobody sees: a release that hangs must not gather them without end.
_MIRROR_LIMITS = Limits(requests=1000)
_MIRROR_LONGEST = "60s"
# An instance that fails so often in a row is left alone for a while.  Half of a cluster at
# most, so never all of it, and never the only one.  The quota applies from the first ejection
# on (``always_eject_one_host`` is off by default).
_OUTLIERS = {
    "consecutive_5xx": 10,
    "consecutive_gateway_failure": 5,
    "enforcing_consecutive_gateway_failure": 100,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "5s",
    "max_ejection_time": "60s",
    "max_ejection_percent": 50,
}


MIRROR = "mirror"
"""The last part of the name of a cluster that copies go to."""


def cluster_name(scope: str, revision: str) -> str:
    """Return the name of a cluster: ``project/environment/revision``."""
    return f"{scope}/{revision}"


def mirror_name(scope: str, revision: str) -> str:
    """Return the name of the cluster that copies of requests go to."""
    return f"{cluster_name(scope, revision)}/{MIRROR}"


def clusters(
    sites: Sequence[Site],
    dynamic: Collection[str] = (),
    file_of: Callable[[str], Path] = Path,
    known: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Return name to cluster for every backend of *sites*.

    Args:
        dynamic: The clusters whose addresses stand in a file of their own.
        file_of: The file of such a cluster.
        known: Clusters that are there already.  One for copies stays as long as its backend,
            for its counts are the backend's and would fall.
    """
    found = {}
    for site in sites:
        copied = site.mirror.revision if site.mirror is not None else ""
        for backend in site.backends:
            name = cluster_name(site.scope, backend.revision)
            path = file_of(name) if name in dynamic else None
            found[name] = _cluster(name, backend, backend.limits, path)
            copies = mirror_name(site.scope, backend.revision)
            if backend.revision == copied or copies in known:
                found[copies] = _mirror(copies, backend, path)
    return found


def _cluster(name: str, backend: Backend, limits: Limits, path: Path | None) -> dict[str, Any]:
    service = name.removesuffix(f"/{MIRROR}")
    where = _fixed(name, backend) if path is None else _in_file(service, path)
    return {
        "@type": _CLUSTER,
        "name": name,
        **where,
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        # Else an instance that drains would get requests when most of the instances drain.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": _OUTLIERS,
        "circuit_breakers": {"thresholds": [_thresholds(limits)]},
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"type.googleapis.com/{_HTTP}",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE_TIMEOUT},
            }
        },
    }


def _thresholds(limits: Limits) -> dict[str, Any]:
    requests = limits.requests or _NO_LIMIT
    return {
        "max_connections": limits.connections or _NO_LIMIT,
        "max_pending_requests": requests,
        "max_requests": requests,
        "max_retries": _NO_LIMIT,
    }


def _fixed(name: str, backend: Backend) -> dict[str, Any]:
    return {"type": "STATIC", "load_assignment": assignment(name, backend)}


def _in_file(name: str, path: Path) -> dict[str, Any]:
    source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
    return {"type": "EDS", "eds_cluster_config": {"eds_config": source, "service_name": name}}


def _mirror(name: str, backend: Backend, path: Path | None) -> dict[str, Any]:
    cluster = _cluster(name, backend, _MIRROR_LIMITS, path)
    options = cluster["typed_extension_protocol_options"][_HTTP]["common_http_protocol_options"]
    options["max_stream_duration"] = _MIRROR_LONGEST
    return cluster
