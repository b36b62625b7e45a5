"""Sites for tests: a scope with an old and a new revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.routers.port import Backend, Site

OLD, NEW = "a" * 16, "b" * 16
OLD_RELEASE, NEW_RELEASE = "1" * 64, "2f" * 32
SCOPE = "shop/production"


def backend(revision: str, *addresses: str, **more: Any) -> Backend:
    release = {OLD: OLD_RELEASE, NEW: NEW_RELEASE}.get(revision, revision * 4)
    return Backend(revision=revision, release=release, addresses=addresses, **more)


def site(*backends: Backend, weights: Mapping[str, int] | None = None, **more: Any) -> Site:
    chosen = {backends[0].revision: 100} if weights is None and backends else dict(weights or {})
    values: dict[str, Any] = {
        "scope": SCOPE,
        "domains": ("shop.test",),
        "default": False,
        "weights": chosen,
        "backends": backends,
        **more,
    }
    return Site(**values)
