"""A whole API over a fake coordinator, with the real store, database and event log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

import turnout.api.tables
import turnout.environments.tables
import turnout.security.tables
from tests.fakes.coordinator import FakeCoordinator
from turnout.api.app import create_app
from turnout.api.door import AllowedHosts
from turnout.api.server import serve
from turnout.base.database import Database, metadata
from turnout.keys.keyring import Keyring
from turnout.monitoring.events import EventLog
from turnout.packages.store import Store
from turnout.security.sessions import Sessions
from turnout.security.tokens import Tokens
from turnout.web.pages import Pages
from turnout.wire.api import ServerInfo

BASE = "http://127.0.0.1:7700"


@dataclass
class FakeHouse:
    """Everything a test of the API wants to reach into."""

    app: FastAPI
    coordinator: FakeCoordinator
    database: Database
    events: EventLog
    store: Store
    tokens: Tokens
    sessions: Sessions
    token: str

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, token: bool = True) -> TestClient:
        """Return a client that talks to the application without a socket."""
        return TestClient(
            self.app,
            base_url=BASE,
            headers=self.authorization if token else {},
            raise_server_exceptions=True,
            follow_redirects=False,
        )


def build(directory: Path) -> FakeHouse:
    """Return an API on a fresh database in *directory*."""
    database = Database(f"sqlite:///{directory / 'turnout.db'}")
    # Imported for their tables, which the migrations make elsewhere.
    assert turnout.api.tables and turnout.environments.tables and turnout.security.tables
    metadata.create_all(database.engine)
    return attach(directory, database)


def attach(
    directory: Path, database: Database, coordinator: FakeCoordinator | None = None
) -> FakeHouse:
    """Return an API on a database that is there, as a restarted server would make it."""
    events = EventLog(database)
    coordinator = coordinator or FakeCoordinator(database, events)
    tokens = Tokens(database)
    sessions = Sessions(database)
    store = Store(directory / "store", Keyring.open(directory / "keys"))
    token = tokens.ensure_local() or tokens.rotate_local()
    # Found by the application's own loop when it is first awaited.
    closing = asyncio.Event()
    pages = Pages(coordinator, events, tokens, sessions, version="0.1.0", closing=closing).app()
    app = create_app(
        coordinator=coordinator,
        store=store,
        database=database,
        tokens=tokens,
        events_log=events,
        info=ServerInfo(
            version="0.1.0",
            http_address="127.0.0.1:8080",
            single_machine=True,
            pid=1,
            data=str(directory),
        ),
        uploads_dir=directory / "uploads",
        # The name that test clients without a socket give themselves.
        hosts=AllowedHosts(names=["testserver"]),
        pages=pages,
        closing=closing,
    )
    return FakeHouse(app, coordinator, database, events, store, tokens, sessions, token)


@contextmanager
def served(house: FakeHouse) -> Iterator[httpx2.Client]:
    """Serve a house on a real socket in a thread; yield a client of it."""
    ready: list[str] = []
    is_ready = threading.Event()
    stopping: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        stopping.append((asyncio.get_running_loop(), stop))

        def note(host: str, port: int) -> None:
            ready.append(f"http://{host}:{port}")
            is_ready.set()

        await serve(house.app, "127.0.0.1", 0, ready=note, stop=stop)

    thread = threading.Thread(target=anyio.run, args=(main,), daemon=True)
    thread.start()
    assert is_ready.wait(10)
    try:
        with httpx2.Client(
            base_url=ready[0], headers=house.authorization, timeout=10, trust_env=False
        ) as client:
            yield client
    finally:
        loop, stop = stopping[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)
        assert not thread.is_alive()
