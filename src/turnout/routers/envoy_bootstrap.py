"""What Envoy is told when it starts, as plain JSON values: pure functions.

The listener stands here and not among the files that change, so that a taken port ends the
process at once with a clear cause.  Clusters and routes come from two files
(:mod:`turnout.routers.envoy_clusters`, :mod:`turnout.routers.envoy_routes`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turnout.routers.envoy_access import access_log
from turnout.wire.statistics import BOUNDS_MS

ROUTES_NAME = "routes"
STAT_PREFIX = "http"
# One request on each of so many connections is beyond what one host serves; the limit keeps a
# flood from taking all memory.
MAX_CONNECTIONS = 50_000
# A client may take this long to send a request's headers; bodies may take for ever.
_HEADERS_TIMEOUT = "60s"
# What took longer than the last bound is counted too: in a bucket that nothing exceeds.
_BEYOND_MS = 1e12
_TYPE = "type.googleapis.com/envoy."


def bootstrap(
    listen: tuple[str, int],
    admin_socket: Path,
    clusters_file: Path,
    routes_file: Path,
    access_file: Path,
) -> dict[str, Any]:
    """Return Envoy's bootstrap configuration.

    Args:
        listen: Address and port that clients reach.
        admin_socket: Where the admin interface listens; only its owner can reach it.
        clusters_file: The file of clusters, replaced by renaming.
        routes_file: The file of routes, replaced by renaming.
        access_file: Where requests of sites that ask for it are written down.
    """
    return {
        "node": {"id": "turnout", "cluster": "turnout"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}},
        # Histograms are merged on flush only, so this is how old a quantile can be.
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": [*BOUNDS_MS, _BEYOND_MS]}
            ]
        },
        "dynamic_resources": {"cds_config": _file(clusters_file)},
        "static_resources": {"listeners": [_listener(listen, routes_file, access_file)]},
        # The expression for every prefix of a release needs 120 steps, a header rule some more;
        # Envoy's own limit is 100.
        "layered_runtime": {
            "layers": [
                {"name": "fixed", "static_layer": {"re2.max_program_size.error_level": 10_000}}
            ]
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": _TYPE + "extensions.resource_monitors.downstream_connections"
                        ".v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }


def _file(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _listener(listen: tuple[str, int], routes_file: Path, access_file: Path) -> dict[str, Any]:
    host, port = listen
    manager = _manager(routes_file, access_file)
    return {
        "name": STAT_PREFIX,
        "address": {"socket_address": {"address": host, "port_value": port}},
        # With it a second Envoy on the same port would start and take half of the requests.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 262_144,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _manager(routes_file: Path, access_file: Path) -> dict[str, Any]:
    return {
        "@type": _TYPE + "extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "access_log": [access_log(access_file)],
        "rds": {"route_config_name": ROUTES_NAME, "config_source": _file(routes_file)},
        # We are the edge: the peer's address is the client's, and nobody's x-envoy-* counts.
        # Loopback would be trusted by default, so a network that no client has is named.
        "use_remote_address": True,
        "internal_address_config": {
            "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
        },
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        # An event stream may be silent for longer than any limit we could choose.
        "stream_idle_timeout": "0s",
        "request_headers_timeout": _HEADERS_TIMEOUT,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {
            "idle_timeout": "3600s",
            # `x_forwarded_for` would reach a WSGI or CGI app under the name of the real one.
            "headers_with_underscores_action": "DROP_HEADER",
        },
        # Older proxies and tools speak HTTP/1.0, which need not name a host.
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": "localhost",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": _TYPE + "extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
