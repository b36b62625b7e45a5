"""The access log as Envoy writes it: one JSON line for each request of a site that asks for it.

The listener never changes, so the log is always configured and a mark on the route switches it
on: without the mark nothing is written.  Only what names no secret is written: no header but
the host, the user agent and the request's id, and a path without its query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TYPE = "type.googleapis.com/envoy.extensions.access_loggers."
_MARK = "turnout"
_FIELDS = {
    "at": "%START_TIME%",
    "scope": f"%METADATA(ROUTE:{_MARK}:scope)%",
    "backend": "%UPSTREAM_CLUSTER%",
    "address": "%UPSTREAM_HOST%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
    "took_ms": "%DURATION%",
    "request": "%REQ(X-REQUEST-ID)%",
    "agent": "%REQ(USER-AGENT)%",
}


def access_log(path: Path) -> dict[str, Any]:
    """Return the access log for the listener.

    Args:
        path: The file that lines are added to.
    """
    marked = f"'{_MARK}' in xds.route_metadata.filter_metadata"
    return {
        "name": "envoy.access_loggers.file",
        "filter": {
            "extension_filter": {
                "name": "envoy.access_loggers.extension_filters.cel",
                "typed_config": {
                    "@type": _TYPE + "filters.cel.v3.ExpressionFilter",
                    "expression": marked,
                },
            }
        },
        "typed_config": {
            "@type": _TYPE + "file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"json_format": _FIELDS},
        },
    }


def logged(scope: str) -> dict[str, Any]:
    """Return the mark that makes requests of a route appear in the log under *scope*."""
    return {"filter_metadata": {_MARK: {"scope": scope}}}
