"""``/metrics``: behind the token, in the format that was asked for, of the real ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from tests.monitoring.counting import OLD, Host
from turnout.api import metrics, problems
from turnout.api.access import Access
from turnout.base import clock
from turnout.base.database import Database
from turnout.coordinator.exposing import Exposition
from turnout.coordinator.tables import deployments
from turnout.monitoring.series import Series
from turnout.security.tokens import Tokens


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'x.db'}")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def client(database: Database) -> TestClient:
    series = Series(database)
    host = Host("one")
    host.serve(OLD, 10)
    series.note(host.tell(time.time()))
    tokens = Tokens(database)
    app = FastAPI(middleware=[Middleware(Access, tokens=tokens)])
    problems.install(app)
    exposition = Exposition(lambda: ("one",), series, database, "1.2.3")
    app.include_router(metrics.make_router(exposition.render))
    token = tokens.ensure_local() or ""
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


def _deploy(database: Database, id: str, status: str) -> None:
    now = clock.now()
    with database.transaction() as connection:
        connection.execute(
            deployments.insert().values(
                id=id, kind="deployment", project="shop", environment="production",
                release="f" * 64, revision=OLD, strategy="canary", status=status, priority=1,
                message="", requested_by="me", intent={}, uploaded_bytes=0, reused_bytes=0,
                created_at=now, started_at=now,
                finished_at=None if status == "running" else now,
            )
        )  # fmt: skip


def test_what_is_counted_is_told(client: TestClient, database: Database) -> None:
    _deploy(database, "dep-1", "succeeded")
    _deploy(database, "dep-2", "running")
    for _ in range(2):
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'status="succeeded",strategy="canary"} 1.0' in answer.text
        assert 'turnout_deployments_open{status="running"} 1.0' in answer.text
        assert 'code_class="2xx"' in answer.text
    with database.transaction() as connection:
        connection.execute(
            deployments.update()
            .where(deployments.c.id == "dep-2")
            .values(status="succeeded", finished_at=clock.now())
        )
    text = client.get("/metrics").text
    assert 'status="succeeded",strategy="canary"} 2.0' in text
    assert "turnout_deployments_open{" not in text


def test_another_format_where_it_is_asked_for(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_nobody_reads_without_a_token(client: TestClient) -> None:
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.post("/metrics").status_code == 405
