"""Wanted sites as one Envoy route configuration: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.routers.checks import preview_hosts
from turnout.routers.envoy_bootstrap import ROUTES_NAME
from turnout.routers.envoy_clusters import cluster_name
from turnout.routers.envoy_headers import overwrite
from turnout.routers.envoy_live import RELEASE_HEADER, answer, live_routes, to_weights
from turnout.routers.envoy_mirror import mirrored
from turnout.routers.envoy_split import is_tester
from turnout.routers.port import Backend, Site

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
    named = [_only(site, backend, _named(backend)) for backend in site.backends]
    live = live_routes(site)
    return [*named, *_testers(site), *mirrored(site, live), *live]


def _testers(site: Site) -> list[dict[str, Any]]:
    split = site.split
    if split is None:
        return []
    found = [backend for backend in site.backends if backend.revision == split.candidate]
    return [
        _only(site, backend, is_tester(tester)) for backend in found for tester in split.testers
    ]


def _only(site: Site, backend: Backend, match: dict[str, Any]) -> dict[str, Any]:
    return to_weights(site, {backend.revision: 100}, match)


def _other_routes(sites: Sequence[Site]) -> list[dict[str, Any]]:
    """Return the routes for hosts that no site names: the default one's on a bare address.

    A name that is not known leads nowhere: it may be a preview that is pruned, a typing
    mistake, or a stranger's name that was made to point here.
    """
    bare = [
        _on_bare_address(route) for site in sites if site.default for route in _site_routes(site)
    ]
    return [*bare, answer(404, "No site has this host name.\n")]


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
            [_only(site, backends[revision], {"prefix": "/"})],
        )
        for revision, hosts in by_revision.items()
    ]


def _named(backend: Backend) -> dict[str, Any]:
    expression = {"regex": release_prefix_regex(backend.release)}
    return {
        "prefix": "/",
        "headers": [{"name": RELEASE_HEADER, "string_match": {"safe_regex": expression}}],
    }
