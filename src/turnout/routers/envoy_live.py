"""The routes of live requests of one site: by weight, or by the slot of each client.

Pure functions.  What differs by backend stands in its entry of the weighted cluster, where one
route leads to several, and on the route where it leads to one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.routers.envoy_access import logged
from turnout.routers.envoy_clusters import cluster_name
from turnout.routers.envoy_headers import overwrite, rule_headers
from turnout.routers.envoy_split import SLOTS, has_slot, set_cookie, slots
from turnout.routers.port import Backend, Site

RELEASE_HEADER = "x-turnout-release"
SITE_HEADER = "x-turnout-site"
SPA_HEADER = "x-turnout-spa"


def live_routes(site: Site) -> list[dict[str, Any]]:
    """Return the routes for requests that ask for no release in particular."""
    weights = {revision: weight for revision, weight in site.weights.items() if weight}
    if not weights:
        return [answer(503, "No release is live here.\n")]
    owned = slots(site)
    if not owned or site.split is None:
        return [to_weights(site, weights, {"prefix": "/"})]
    candidate = site.split.candidate
    known = [
        to_weights(site, {revision: 100}, has_slot(candidate, of)) for revision, of in owned.items()
    ]
    return [
        *known,
        *(_new_clients(site, candidate, revision, of) for revision, of in owned.items()),
    ]


def to_weights(site: Site, weights: Mapping[str, int], match: dict[str, Any]) -> dict[str, Any]:
    """Return a route that spreads what matches over the backends of *weights*."""
    backends = {backend.revision: backend for backend in site.backends}
    targets = [
        {
            "name": cluster_name(site.scope, revision),
            "weight": weight,
            **_headers(backends[revision]),
        }
        for revision, weight in weights.items()
    ]
    return _route(site, match, targets)


def site_headers(backend: Backend) -> dict[str, str] | None:
    """Return the internal headers that tell the static origin what to serve; None for an app."""
    if backend.site is None:
        return None
    return {SITE_HEADER: backend.site, SPA_HEADER: "1" if backend.spa else "0"}


def answer(status: int, text: str) -> dict[str, Any]:
    """Return a route that answers everything by itself."""
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [
            overwrite("content-type", "text/plain; charset=utf-8"),
            overwrite("cache-control", "no-store"),
        ],
    }


def _new_clients(site: Site, candidate: str, revision: str, owned: range) -> dict[str, Any]:
    """Return the route for clients without a slot that shall get one of *owned*.

    Routes are tried in the order of the slots, and Envoy compares the same random number of
    the request with each fraction; the weighted cluster uses that number again, modulo the
    count of its entries, which are as many as neighbouring values are left.  So every slot is
    as likely as every other.
    """
    match: dict[str, Any] = {"prefix": "/"}
    if owned.stop < SLOTS:
        match["runtime_fraction"] = {"default_value": {"numerator": owned.stop}}
    name = cluster_name(site.scope, revision)
    targets = [
        {"name": name, "weight": 1, "response_headers_to_add": [set_cookie(candidate, slot)]}
        for slot in owned
    ]
    [backend] = [backend for backend in site.backends if backend.revision == revision]
    return {**_route(site, match, targets), **_headers(backend)}


def _route(site: Site, match: dict[str, Any], targets: list[dict[str, Any]]) -> dict[str, Any]:
    route: dict[str, Any] = {
        "match": match,
        # Envoy's default of 15 s would cut event streams and long uploads.
        "route": {"weighted_clusters": {"clusters": targets}, "timeout": "0s"},
    }
    if site.access_log:
        route["metadata"] = logged(site.scope)
    return route


def _headers(backend: Backend) -> dict[str, Any]:
    """Return what is done to headers of requests to *backend* and of its answers."""
    found: dict[str, Any] = {
        "response_headers_to_add": [
            *rule_headers(backend.headers),
            overwrite(RELEASE_HEADER, backend.release),
        ]
    }
    # Never both on one level above another: Envoy adds from the inside out, so a removal
    # further out would take away what is added here.
    internal = site_headers(backend)
    if internal is None:
        found["request_headers_to_remove"] = [SITE_HEADER, SPA_HEADER]
    else:
        found["request_headers_to_add"] = [overwrite(*pair) for pair in internal.items()]
    return found
