"""Fixtures of the API's tests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.requests import RELEASE
from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from turnout.base import logs
from turnout.environments.catalogue import Catalogue


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FakeHouse]:
    made = houses.build(tmp_path)
    # A release that is in the catalogue; what the store holds does not matter to deployments.
    Catalogue(made.database).add("shop", RELEASE, files=3, size=1000)
    yield made
    made.database.close()


@pytest.fixture
def client(house: FakeHouse) -> Iterator[TestClient]:
    with house.client() as made:
        yield made


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """The log of the test, set up as the product sets it up."""
    stream = io.StringIO()
    logs.configure(stream=stream, level="debug")
    yield stream
    assert "turnout_" not in stream.getvalue()
