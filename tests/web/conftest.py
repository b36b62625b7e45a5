"""A dashboard over documents that the tests write themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from tests.web.samples import RichCoordinator
from turnout.base.database import Database, metadata
from turnout.monitoring.events import EventLog


@pytest.fixture
def rich(tmp_path: Path) -> Iterator[FakeHouse]:
    """A house whose coordinator also keeps evidence."""
    database = Database(f"sqlite:///{tmp_path / 'rich.db'}")
    metadata.create_all(database.engine)
    yield houses.attach(tmp_path, database, RichCoordinator(database, EventLog(database)))
    database.close()


@pytest.fixture
def visitor(rich: FakeHouse) -> Iterator[TestClient]:
    """A browser that is logged in."""
    account = rich.tokens.verify(rich.token)
    assert account is not None
    with rich.client(token=False) as made:
        made.cookies.set("turnout_session", rich.sessions.open(account))
        yield made
