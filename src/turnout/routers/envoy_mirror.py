"""Copies of live requests for a revision whose answers nobody sees: pure functions.

Only requests that change nothing are copied: GET, HEAD and OPTIONS without a body, no upgrade
and no event stream, whose copy would never end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.routers.envoy_clusters import mirror_name
from turnout.routers.envoy_headers import overwrite
from turnout.routers.envoy_live import SITE_HEADER, SPA_HEADER, site_headers
from turnout.routers.port import Backend, Site

_SAFE = (
    {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}},
    {
        "name": "content-length",
        "string_match": {"safe_regex": {"regex": "0?"}},
        "treat_missing_header_as_empty": True,
    },
    {"name": "transfer-encoding", "present_match": True, "invert_match": True},
    {"name": "upgrade", "present_match": True, "invert_match": True},
    {
        "name": "accept",
        "string_match": {"contains": "text/event-stream"},
        "invert_match": True,
        "treat_missing_header_as_empty": True,
    },
)


def mirrored(site: Site, live: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return *live* once more for safe requests alone, with copies; empty without a mirror."""
    mirror = site.mirror
    if mirror is None:
        return []
    found = [backend for backend in site.backends if backend.revision == mirror.revision]
    return [
        _mirrored(route, _policy(site.scope, backend, mirror.percent))
        for backend in found
        for route in live
        if "route" in route
    ]


def _mirrored(route: Mapping[str, Any], policy: dict[str, Any]) -> dict[str, Any]:
    match = route["match"]
    return {
        **route,
        "match": {**match, "headers": [*match.get("headers", ()), *_SAFE]},
        "route": {**route["route"], "request_mirror_policies": [policy]},
    }


def _policy(scope: str, backend: Backend, percent: int) -> dict[str, Any]:
    return {
        "cluster": mirror_name(scope, backend.revision),
        "runtime_fraction": {"default_value": {"numerator": percent}},
        # The app shall see the host that the client asked for.
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": _mutations(backend),
    }


def _mutations(backend: Backend) -> list[dict[str, Any]]:
    """Return what makes the copy of a request for another backend one for *backend*."""
    internal = site_headers(backend)
    if internal is None:
        return [{"remove": name} for name in (SITE_HEADER, SPA_HEADER)]
    return [{"append": overwrite(*pair)} for pair in internal.items()]
