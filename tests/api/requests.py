"""Requests that the API's tests send again and again."""

from __future__ import annotations

from typing import Any

RELEASE = "ab" * 32


def deploy_request(**changes: Any) -> dict[str, Any]:
    """Return a valid body of POST /deployments, with *changes*."""
    return {
        "intent": {
            "project": "shop",
            "environment": "production",
            "component": {"static": {"spa": False}},
        },
        "release": RELEASE,
        **changes,
    }
