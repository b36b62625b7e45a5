"""What the static origin is told, once and for ever, as plain JSON values: pure functions.

The configuration never changes while the process lives, for a reload would drop requests.  So
everything that differs from release to release comes with the request: which tree to serve in
one header, whether unknown paths lead to the start page in another.  The router sets both.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from turnout.agent.origin_types import CONTENT_TYPES
from turnout.packages.assets import (
    BRIDGED_PATTERN,
    ENCODINGS,
    HASHED_PATTERN,
    RESERVED,
    VARIANT_SUFFIX,
)

SITE_HEADER = "X-Turnout-Site"
SPA_HEADER = "X-Turnout-Spa"
BRIDGE = ".bridge"
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, max-age=0, must-revalidate"
PAGE = "no-cache"

_NAME = "[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
_SITE_PATTERN = f"^({_NAME})/({_NAME})/([0-9a-f]{{16}})$"
# A last part such as `app.js` or `icon.svg`; `v1.2` is a page of an application.
_FILE_ENDING = r"\.[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*$"
# RFC 8615 reserves this one; every other name with a leading dot is nobody's business.
_DOT_NAME = r"/\."
_WELL_KNOWN = r"^/\.well-known(?:/(?:[^./][^/]*)?)*$"
_GRACE = "5s"

Route = dict[str, Any]


def origin_config(socket: Path, sites_dir: Path, state_dir: Path) -> dict[str, Any]:
    """Return Caddy's configuration.

    Args:
        socket: The unix socket to listen on; only its owner can reach it.
        sites_dir: Holds ``project/environment/revision/`` and, beside the revisions, a
            directory of assets of earlier releases.
        state_dir: Where the log and Caddy's own files go.
    """
    site = "{http.regexp.site.1}/{http.regexp.site.2}"
    own = f"{sites_dir}/{site}/{{http.regexp.site.3}}"
    bridge = f"{sites_dir}/{site}/{BRIDGE}"
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(state_dir / "storage")},
        "logging": {"logs": {"default": _log(state_dir / "origin.log")}},
        "apps": {
            "http": {
                "grace_period": _GRACE,
                "servers": {
                    "origin": {
                        "listen": [f"unix/{socket}|0600"],
                        "protocols": ["h1"],
                        "automatic_https": {"disable": True},
                        # The router closes idle connections first, see its clusters.
                        "idle_timeout": "300s",
                        "routes": _routes(own, bridge),
                        "errors": {"routes": [_answer("{http.error.status_code}", "")]},
                    }
                },
            }
        },
    }


def _routes(own: str, bridge: str) -> list[Route]:
    missing = _missing(own)
    return [
        _answer(405, "Only GET and HEAD.\n", [{"not": [{"method": ["GET", "HEAD"]}]}], "GET, HEAD"),
        _answer(421, "No such site here.\n", [{"not": [_site_named()]}]),
        {"match": [_site_named()], "handle": [_ignore_dates()]},
        {"match": [_if_range_date()], "handle": [_forget("If-Range", "Range")]},
        _final([_hidden_dot(), _reserved()], missing),
        _final([_made(own)], missing),
        _final([_exists(own, "{path}", "{path}/index.html")], [_cached(), _serve(own)]),
        _final([_made(bridge)], missing),
        _final(
            [{**_exists(bridge, "{path}"), **_is_bridged()}],
            [_cached(), _serve(bridge, canonical_uris=False)],
        ),
        _final(
            [
                {
                    "header": {SPA_HEADER: ["1"]},
                    "not": [{"path_regexp": {"pattern": _FILE_ENDING}}],
                    **_exists(own, "/index.html"),
                }
            ],
            [_set("Cache-Control", PAGE), *_page(own, "/index.html")],
        ),
        _final([], missing),
    ]


def _missing(own: str) -> list[Route]:
    page = "/404.html"
    not_found = [
        # A 304 or 206 would become a 404 without its body.
        _forget("If-None-Match", "If-Match", "Range", "If-Range"),
        _set("Cache-Control", "no-store"),
        {"handler": "headers", "response": {"deferred": True, "delete": ["Etag"]}},
        *_page(own, page, status_code="404"),
    ]
    return [
        {
            "handler": "subroute",
            "routes": [
                _final([_exists(own, page)], not_found),
                _answer(404, "Not found.\n"),
            ],
        }
    ]


def _site_named() -> dict[str, Any]:
    return {"header_regexp": {SITE_HEADER: {"name": "site", "pattern": _SITE_PATTERN}}}


def _ignore_dates() -> dict[str, Any]:
    """Dates say nothing here: files of several releases share theirs."""
    return {
        "handler": "headers",
        "request": {"delete": ["If-Modified-Since", "If-Unmodified-Since"]},
        "response": {"deferred": True, "delete": ["Last-Modified", "Server"]},
    }


def _if_range_date() -> dict[str, Any]:
    """Match everything but a strong tag; the whole answer is always right instead of a part."""
    return {"header_regexp": {"If-Range": {"pattern": '^[^"]'}}}


def _hidden_dot() -> dict[str, Any]:
    return {
        "path_regexp": {"pattern": _DOT_NAME},
        "not": [{"path_regexp": {"pattern": _WELL_KNOWN}}],
    }


def _reserved() -> dict[str, Any]:
    """Match what stands beside the files that we serve."""
    endings = "|".join(re.escape(suffix) for suffix in RESERVED)
    return {"path_regexp": {"pattern": f"(?i)(?:{endings})$"}}


def _made(root: str) -> dict[str, Any]:
    """Match a compressed variant of ours: for its file it is served, by its own name never."""
    endings = "|".join(re.escape(suffix) for suffix in ENCODINGS.values())
    return {
        "path_regexp": {"pattern": f"(?:{endings})$"},
        **_exists(root, f"{{path}}{VARIANT_SUFFIX}"),
    }


def _is_bridged() -> dict[str, Any]:
    return {"path_regexp": {"pattern": f"{HASHED_PATTERN}|{BRIDGED_PATTERN}"}}


def _cached() -> Route:
    """Set Cache-Control and Content-Type by the name of the file that was found."""
    file = "{http.matchers.file.relative}"
    ending = r"^.*(\.[A-Za-z0-9]+)$"
    return {
        "handler": "subroute",
        "routes": [
            {"handle": [_set("Cache-Control", ASK_AGAIN)]},
            {
                "match": [{"vars_regexp": {file: {"pattern": HASHED_PATTERN}}}],
                "handle": [_set("Cache-Control", FOREVER)],
            },
            {
                "match": [{"vars_regexp": {file: {"pattern": r"(?i)\.x?html?$"}}}],
                "handle": [_set("Cache-Control", PAGE)],
            },
            {
                "match": [{"vars_regexp": {file: {"name": "ending", "pattern": ending}}}],
                "handle": [
                    {
                        "handler": "map",
                        "source": "{http.regexp.ending.1}",
                        "destinations": ["{turnout_type}"],
                        "mappings": [
                            {"input": f".{ending}", "outputs": [kind]}
                            for ending, kind in CONTENT_TYPES.items()
                        ],
                        "defaults": ["application/octet-stream"],
                    },
                    _set("Content-Type", "{turnout_type}"),
                ],
            },
        ],
    }


def _page(own: str, path: str, **options: Any) -> list[Route]:
    return [
        {"handler": "rewrite", "uri": path},
        _set("Content-Type", CONTENT_TYPES["html"]),
        _serve(own, canonical_uris=False, **options),
    ]


def _serve(root: str, **options: Any) -> Route:
    return {
        "handler": "file_server",
        "root": root,
        "index_names": ["index.html"],
        "precompressed": {encoding: {} for encoding in ENCODINGS},
        "precompressed_order": list(ENCODINGS),
        "etag_file_extensions": list(RESERVED),
        **options,
    }


def _exists(root: str, *paths: str) -> dict[str, Any]:
    tried = [path.replace("{path}", "{http.request.uri.path}") for path in paths]
    return {"file": {"root": root, "try_files": tried}}


def _final(match: list[dict[str, Any]], handle: list[Route]) -> Route:
    route: Route = {"handle": handle, "terminal": True}
    return {"match": match, **route} if match else route


def _answer(
    status: int | str, text: str, match: list[dict[str, Any]] | None = None, allow: str = ""
) -> Route:
    headers = {"Cache-Control": ["no-store"], "Content-Type": ["text/plain; charset=utf-8"]}
    if allow:
        headers["Allow"] = [allow]
    answer = {
        "handler": "static_response",
        "status_code": status,
        "body": text,
        "headers": headers,
    }
    return _final(match or [], [answer])


def _set(name: str, value: str) -> Route:
    return {"handler": "headers", "response": {"set": {name: [value]}}}


def _forget(*names: str) -> Route:
    return {"handler": "headers", "request": {"delete": list(names)}}


def _log(path: Path) -> dict[str, Any]:
    return {
        "level": "WARN",
        "writer": {
            "output": "file",
            "filename": str(path),
            "mode": "0600",
            "roll_size_mb": 4,
            "roll_keep": 1,
            "roll_gzip": False,
        },
    }
