"""Backends as Envoy clusters, one a revision of a scope: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnout.routers.port import Backend, Site

_CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Servers close idle connections (gunicorn after 2 s, Node and uvicorn after 5 s); a request
# that is written just then is lost.  So we close first.  A new local connection is cheap.
UPSTREAM_IDLE_TIMEOUT = "1s"
CONNECT_TIMEOUT = "2s"
# Envoy's own limits (1024 connections, 3 retries at a time) would turn a burst into 503s.
_NO_LIMIT = 1_000_000


def cluster_name(scope: str, revision: str) -> str:
    """Return the name of a cluster: ``project/environment/revision``."""
    return f"{scope}/{revision}"


def clusters(sites: Sequence[Site]) -> dict[str, dict[str, Any]]:
    """Return name to cluster for every backend of *sites*."""
    return {
        name: _cluster(name, backend)
        for site in sites
        for backend in site.backends
        for name in [cluster_name(site.scope, backend.revision)]
    }


def _cluster(name: str, backend: Backend) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(address)}} for address in backend.addresses]
    return {
        "@type": _CLUSTER,
        "name": name,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _NO_LIMIT,
                    "max_pending_requests": _NO_LIMIT,
                    "max_requests": _NO_LIMIT,
                    "max_retries": _NO_LIMIT,
                }
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": f"type.googleapis.com/{_HTTP}",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": UPSTREAM_IDLE_TIMEOUT},
            }
        },
    }


def _address(address: str) -> dict[str, Any]:
    if address.startswith("unix:"):
        return {"pipe": {"path": address.removeprefix("unix:")}}
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return {"socket_address": {"address": host, "port_value": int(port)}}
