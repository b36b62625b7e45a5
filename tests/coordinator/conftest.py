"""A launched coordinator for every test, over SQLite or, where it is marked real, PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.postgres import Postgres, started
from tests.coordinator.rig import Rig, launched


@pytest.fixture
def host() -> GatedHost:
    """A fake host."""
    return GatedHost()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of our own, stopped at the end."""
    with started() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database with every table, to be copied: migrations take a while."""
    place = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        async with launched(Rig(place, GatedHost())):
            pass

    asyncio.run(make())
    return place / "turnout.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        shutil.copy(migrated, tmp_path / "turnout.db")
        return f"sqlite:///{tmp_path / 'turnout.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def rig(
    anyio_backend: str, tmp_path: Path, host: GatedHost, database_url: str
) -> AsyncIterator[Rig]:
    """A coordinator that runs."""
    async with launched(Rig(tmp_path, host, database_url)) as found:
        yield found
