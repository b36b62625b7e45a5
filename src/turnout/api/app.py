"""The API as one application: the doors, the routers and the contract put together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from turnout.api import (
    about,
    contract,
    deployments,
    environments,
    events,
    evidence,
    logsearch,
    metrics,
    problems,
    queries,
    releases,
    rollbacks,
    routers,
    uploads,
)
from turnout.api.access import Access
from turnout.api.bodies import Bodies
from turnout.api.door import AllowedHosts, Door
from turnout.api.house import House
from turnout.api.idempotency import Idempotency
from turnout.api.keybook import KeyBook
from turnout.api.manifests import OpenManifests
from turnout.api.ports import Coordinator, Store
from turnout.api.recovery import Recovery
from turnout.base.database import Database
from turnout.environments.catalogue import Catalogue
from turnout.monitoring.events import EventLog
from turnout.security.tokens import Tokens
from turnout.wire.api import ServerInfo


def create_app(
    *,
    coordinator: Coordinator,
    store: Store,
    database: Database,
    tokens: Tokens,
    events_log: EventLog,
    info: ServerInfo,
    uploads_dir: Path,
    hosts: AllowedHosts | None = None,
    pages: ASGIApp | None = None,
    closing: asyncio.Event | None = None,
) -> FastAPI:
    """Return the application that the server serves.

    Args:
        coordinator: Plans and runs deployments.
        store: Keeps releases.
        database: Where the catalogue and the idempotency keys are.
        tokens: Who may come in.
        events_log: What happened.
        info: What ``/server`` answers.
        uploads_dir: Where open manifests are kept.
        hosts: Which Host headers are answered; loopback names if absent.
        pages: The dashboard, served outside ``/api/``.
        closing: The sign that ends all streams; one is made if absent, in ``house.closing``.
    """
    house = House(
        coordinator=coordinator,
        store=store,
        catalogue=Catalogue(database),
        events=events_log,
        manifests=OpenManifests(uploads_dir),
        info=info,
        closing=closing or asyncio.Event(),
    )
    book = KeyBook(database, alone=info.single_machine)
    app = FastAPI(
        title="Turnout",
        version=info.version,
        # Served by a route of our own below, behind the token; the interactive pages of the
        # framework load scripts from elsewhere and stay off.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Door, hosts=hosts or AllowedHosts(), pages=pages),
            Middleware(Access, tokens=tokens),
            Middleware(Bodies),
            Middleware(Idempotency, book=book, recover=Recovery(coordinator)),
        ],
    )
    app.state.house = house
    problems.install(app)
    api = APIRouter(prefix=contract.PREFIX, dependencies=[queries.strict])
    for room in (
        *(about, uploads, releases, deployments, evidence, rollbacks, events, logsearch),
        *(environments, routers),
    ):
        api.include_router(room.router)
    app.include_router(api)
    app.include_router(metrics.make_router(coordinator.metrics_text))
    app.add_route(f"{contract.PREFIX}/openapi.json", _contract, include_in_schema=False)
    return app


async def _contract(request: Request) -> Response:
    return JSONResponse(contract.describe(request.app))
