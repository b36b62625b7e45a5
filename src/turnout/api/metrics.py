"""Metrics: what Prometheus reads at ``/metrics``, behind the same token as everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from turnout.api.access import By

PATH = "/metrics"
"""Where the field expects it; outside the versioned API, whose contract it is no part of."""

Render = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Takes an Accept header; returns the exposition and its media type."""


def make_router(render: Render) -> APIRouter:
    """Return the router of ``/metrics``.

    Args:
        render: Makes the exposition.
    """
    router = APIRouter(tags=["server"])

    @router.get(PATH, include_in_schema=False)
    async def metrics(request: Request, _by: By) -> Response:
        """Return everything that is counted."""
        body, media_type = await render(request.headers.get("accept", ""))
        return Response(body, media_type=media_type)

    return router
