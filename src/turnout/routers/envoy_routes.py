"""Wanted sites as one Envoy route configuration: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.routers.checks import preview_hosts
from turnout.routers.envoy_bootstrap import ROUTES_NAME
from turnout.routers.envoy_clusters import cluster_name
from turnout.routers.envoy_headers import overwrite, rule_headers
from turnout.routers.port import Backend, Site

RELEASE_HEADER = "x-turnout-release"
SITE_HEADER = "x-turnout-site"
SPA_HEADER = "x-turnout-spa"
# Fewer digits than that might be a release by chance.
SHORTEST_PREFIX = 12
# An IP address or the machine itself, with or without a port.
_BARE_ADDRESS = r"(?i:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?"
_ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

# Only failures before a byte of the request went out: repeating those is always safe.
_RETRY = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.100s"},
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3"
                ".PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 3,
}


def routes(sites: Sequence[Site]) -> dict[str, Any]:
    """Return the route configuration that leads requests as *sites* want it."""
    hosts: list[dict[str, Any]] = []
    for site in sites:
        if site.domains:
            hosts.append(_virtual_host(site.scope, site.domains, _site_routes(site)))
        hosts.extend(_preview_hosts(site))
    hosts.append(_virtual_host("*", ["*"], _other_routes(sites)))
    return {
        "@type": _ROUTES,
        "name": ROUTES_NAME,
        "virtual_hosts": hosts,
        # The app still sees the port that the client named; it may build addresses from it.
        "ignore_port_in_host_matching": True,
        "request_headers_to_add": [
            overwrite("x-forwarded-host", "%REQ(:authority)%"),
            overwrite("x-forwarded-port", "%DOWNSTREAM_LOCAL_PORT%"),
            overwrite("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        ],
        # What a client says in the first nobody could check; the second is Envoy's own extra.
        "request_headers_to_remove": ["forwarded", "x-envoy-external-address"],
    }


def release_prefix_regex(release: str) -> str:
    """Return an RE2 expression for every prefix of *release* of at least 12 digits."""
    tail = ""
    for digit in reversed(release[SHORTEST_PREFIX:]):
        tail = f"(?:{digit}{tail})?"
    return f"{release[:SHORTEST_PREFIX]}{tail}"


def _virtual_host(
    name: str, domains: Sequence[str], host_routes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "name": name,
        "domains": list(domains),
        "routes": list(host_routes),
        "retry_policy": _RETRY,
    }


def _site_routes(site: Site) -> list[dict[str, Any]]:
    found = [_to(site, {backend.revision: 100}, _named(backend)) for backend in site.backends]
    weights = {revision: weight for revision, weight in site.weights.items() if weight}
    live = _to(site, weights, {"prefix": "/"}) if weights else _nothing_live()
    return [*found, live]


def _other_routes(sites: Sequence[Site]) -> list[dict[str, Any]]:
    """Return the routes for hosts that no site names: the default one's on a bare address.

    A name that is not known leads nowhere: it may be a preview that is pruned, a typing
    mistake, or a stranger's name that was made to point here.
    """
    bare = [
        _on_bare_address(route) for site in sites if site.default for route in _site_routes(site)
    ]
    return [*bare, _answer(404, "No site has this host name.\n")]


def _on_bare_address(route: Mapping[str, Any]) -> dict[str, Any]:
    match = route["match"]
    asked = {"name": ":authority", "string_match": {"safe_regex": {"regex": _BARE_ADDRESS}}}
    return {**route, "match": {**match, "headers": [*match.get("headers", ()), asked]}}


def _preview_hosts(site: Site) -> list[dict[str, Any]]:
    by_revision: dict[str, list[str]] = {}
    backends = {backend.revision: backend for backend in site.backends}
    for host, backend in preview_hosts(site).items():
        by_revision.setdefault(backend.revision, []).append(host)
    return [
        _virtual_host(
            f"preview {cluster_name(site.scope, revision)}",
            hosts,
            [_to(site, {backends[revision].revision: 100}, {"prefix": "/"})],
        )
        for revision, hosts in by_revision.items()
    ]


def _named(backend: Backend) -> dict[str, Any]:
    expression = {"regex": release_prefix_regex(backend.release)}
    return {
        "prefix": "/",
        "headers": [{"name": RELEASE_HEADER, "string_match": {"safe_regex": expression}}],
    }


def _to(site: Site, weights: Mapping[str, int], match: dict[str, Any]) -> dict[str, Any]:
    backends = {backend.revision: backend for backend in site.backends}
    return {
        "match": match,
        "route": {
            "weighted_clusters": {
                "clusters": [
                    _weighted(site.scope, backends[revision], weight)
                    for revision, weight in weights.items()
                ]
            },
            # Envoy's default of 15 s would cut event streams and long uploads.
            "timeout": "0s",
        },
    }


def _weighted(scope: str, backend: Backend, weight: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": cluster_name(scope, backend.revision),
        "weight": weight,
        "response_headers_to_add": [
            *rule_headers(backend.headers),
            overwrite(RELEASE_HEADER, backend.release),
        ],
    }
    # Never both on one level above another: Envoy adds from the inside out, so a removal
    # further out would take away what is added here.
    if backend.site is None:
        entry["request_headers_to_remove"] = [SITE_HEADER, SPA_HEADER]
    else:
        entry["request_headers_to_add"] = [
            overwrite(SITE_HEADER, backend.site),
            overwrite(SPA_HEADER, "1" if backend.spa else "0"),
        ]
    return entry


def _nothing_live() -> dict[str, Any]:
    return _answer(503, "No release is live here.\n")


def _answer(status: int, text: str) -> dict[str, Any]:
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [
            overwrite("content-type", "text/plain; charset=utf-8"),
            overwrite("cache-control", "no-store"),
        ],
    }
