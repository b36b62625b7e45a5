"""A whole coordinator on a fake host, with a real store, database, engine and event log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import turnout.api.tables
import turnout.environments.tables
import turnout.security.tables
from tests.coordinator.hosts import GatedHost
from turnout.base.database import Database
from turnout.coordinator.context import Context, Settings
from turnout.coordinator.engine import Engine
from turnout.coordinator.fleet import Fleet
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.service import Coordinator
from turnout.coordinator.tables import history, scopes
from turnout.domain.transitions import ENDED, Status
from turnout.environments.catalogue import Catalogue
from turnout.keys.keyring import Keyring
from turnout.monitoring.events import EventLog
from turnout.monitoring.series import Series
from turnout.packages.building import build
from turnout.packages.scan import scan
from turnout.packages.store import Store
from turnout.wire.api import DeploymentDetail, DeployRequest, Event, RollbackRequest
from turnout.wire.project import Component, HealthSpec, Intent, Rollout, RunSpec, StaticSpec

# Imported for their tables, which the migrations make.
assert turnout.api.tables and turnout.environments.tables and turnout.security.tables

APP = Component(run=RunSpec(command=("node", "server.js")), health=HealthSpec(path="/up"))
SITE = Component(static=StaticSpec(bridge_releases=2))
PATIENCE_S = 30.0


class Rig:
    """Everything that a test of the coordinator wants to reach into.

    Args:
        directory: Where its files are; a second rig on it is the same server, started again.
        host: The fake host; it outlives the server.
        url: The database; None for SQLite in *directory*.
        settings: As of :class:`Settings`; by default nobody sweeps.
    """

    def __init__(
        self, directory: Path, host: GatedHost, url: str | None = None, **settings: Any
    ) -> None:
        self.directory = directory
        self.host = host
        self.url = url or f"sqlite:///{directory / 'turnout.db'}"
        self.database = Database(self.url)
        self.events = EventLog(self.database)
        keyring = Keyring.open(directory / "keys")
        self.store = Store(directory / "store", keyring)
        self.ctx = Context(
            ledger=Ledger(self.database, self.events),
            fleet=Fleet({host.name: host}),
            store=self.store,
            keyring=keyring,
            catalogue=Catalogue(self.database),
            series=Series(self.database),
            settings=Settings("127.0.0.1:8080", **{"sweep_interval_s": 3600.0, **settings}),
        )
        self.coordinator = Coordinator(self.ctx, Engine(self.url, "local"))

    def release(self, name: str, project: str = "shop") -> str:
        """Put a release with one file into the store; return its number."""
        place = self.directory / "sources" / project / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "server.js").write_text(name)
        scanned = scan(place)
        missing = self.store.missing(project, scanned.manifest)
        for segment in build(scanned, missing):
            self.store.add_segment(project, segment.encode())
        return self.store.commit(project, scanned.manifest)

    async def deploy(self, release: str, component: Component = APP, **changes: Any) -> str:
        """Start a deployment; return its name."""
        document = await self.coordinator.deploy(request(release, component, **changes), "ada")
        return document.id

    async def rollback(self, to: str | None = None, project: str = "shop") -> str:
        """Start a rollback; return its name."""
        wanted = RollbackRequest(project=project, environment="production", to=to)
        return (await self.coordinator.rollback(wanted, "ada")).id

    async def run(self, name: str, component: Component = APP, **changes: Any) -> DeploymentDetail:
        """Deploy the release called *name* to its end."""
        release = self.release(name, changes.get("project", "shop"))
        return await self.ended(await self.deploy(release, component, **changes))

    async def go_back(self, to: str | None = None) -> DeploymentDetail:
        """Roll back to the end."""
        return await self.ended(await self.rollback(to))

    async def ended(self, deployment: str) -> DeploymentDetail:
        """Wait for the end of a deployment."""
        await self.until(deployment, "deployment.finished")
        found = await self.coordinator.show(deployment)
        assert Status(found.status) in ENDED
        return found

    async def until(self, deployment: str, kind: str, **data: Any) -> Event:
        """Wait for an event of a deployment."""
        async with asyncio.timeout(PATIENCE_S):
            async for batch in self.events.follow(0, deployment=deployment):
                for event in batch:
                    if event.kind == kind and data.items() <= event.data.items():
                        return event
        raise AssertionError("unreachable")

    def told(self, deployment: str) -> list[Event]:
        """Return all events of a deployment."""
        return self.events.after(0, deployment=deployment, limit=10_000)

    def picture(self) -> dict[str, Any]:
        """Return what must be as before when something was taken back."""
        with self.database.reading() as connection:
            standing = connection.execute(
                sa.select(
                    scopes.c.project,
                    scopes.c.environment,
                    scopes.c.live,
                    scopes.c.previous,
                    scopes.c.holder,
                )
            ).all()
            entries = connection.execute(
                sa.select(history.c.id, history.c.release, history.c.withdrawn)
            ).all()
        packages = sorted(path.name for path in (self.directory / "store").glob("*/packages/*"))
        return {
            "host": self.host.picture(),
            "scopes": [tuple(row) for row in standing if row.live or row.holder],
            "history": [tuple(row) for row in entries],
            "packages": packages,
        }

    def close(self) -> None:
        """Give back the files."""
        self.database.close()


def request(release: str, component: Component = APP, **changes: Any) -> DeployRequest:
    """Return a request; *changes* are fields of the intent, the rollout or the request."""
    rollout = {"verify": 0.0, "drain": 0.0}
    intent: dict[str, Any] = {"project": "shop", "environment": "production"}
    outer: dict[str, Any] = {}
    for key, value in changes.items():
        where = (
            intent
            if key in Intent.model_fields
            else rollout
            if key in Rollout.model_fields
            else outer
        )
        where[key] = value
    return DeployRequest(
        intent=Intent(component=component, rollout=Rollout(**rollout), **intent),
        release=release,
        **outer,
    )


@asynccontextmanager
async def launched(rig: Rig) -> AsyncIterator[Rig]:
    """Run a rig's coordinator, and stop it at the end as a server does."""
    await asyncio.to_thread(rig.database.migrate)
    await rig.coordinator.launch()
    try:
        yield rig
    finally:
        await rig.coordinator.close()
        rig.close()


@contextmanager
def kept(path: Path, host: GatedHost) -> Iterator[GatedHost]:
    """Keep the state of a host in a file, as a host keeps it when the server dies."""
    if path.exists():
        host.restore(json.loads(path.read_text()))
    host.keep = lambda: path.write_text(json.dumps(host.state()))
    yield host
