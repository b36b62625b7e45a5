"""The connection: lost answers, cuts, restarts, interrupts; nothing is done twice or left unsaid."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from starlette.responses import JSONResponse

from tests.cli.conftest import Run
from tests.cli.documents import document
from tests.cli.fake_server import FakeServer, Running
from turnout.cli import client as clients
from turnout.cli.client import Client


def test_a_lost_answer_starts_nothing_twice(run: Run, fake: FakeServer, site: Path) -> None:
    fake.broken = ["/uploads", "/segments", "/commit", "/deployments"]
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(fake.deployments) == 1
    tries = fake.requests("POST", "/deployments")
    assert len(tries) == 2
    assert len({seen.headers["idempotency-key"] for seen in tries}) == 1
    keys = [s.headers["idempotency-key"] for s in fake.seen if s.method == "POST"]
    assert len(set(keys)) == 4


def test_follows_across_a_cut(run: Run, fake: FakeServer, site: Path) -> None:
    fake.cut_events_after = 7
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    streams = fake.requests("GET", "/events")
    assert [seen.headers.get("last-event-id") for seen in streams] == [None, "7"]
    assert result.stderr.count("validation: done") == 1


def test_follows_across_a_restart(run: Run, running: Running, fake: FakeServer, site: Path) -> None:
    fake.end = "never"

    def restart() -> None:
        fake.on_events = None
        fake.end = "succeeded"

        def later() -> None:
            running.stop()
            running.start()

        threading.Thread(target=later).start()

    fake.on_events = restart
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["status"] == "succeeded"


def test_a_server_that_stays_away_leaves_the_document(
    run: Run,
    running: Running,
    fake: FakeServer,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "RESTART_S", 0.3)
    fake.end = "never"

    def gone() -> None:

        threading.Thread(target=running.stop).start()

    fake.on_events = gone
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 6
    assert json.loads(result.stdout)["id"] == "dep-000000001"
    assert "reconnecting" in result.stderr
    assert "turnout show dep-000000001" in result.stderr


def test_interrupt_leaves_the_deployment(
    run: Run, fake: FakeServer, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "events", interrupt)
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["status"] == "running"
    assert "goes on" in result.stderr
    assert "turnout abort dep-000000001" in result.stderr


def test_nobody_there(run: Run, site: Path) -> None:
    result = run("deploy", "--to", "production", "--json", "--server", "http://127.0.0.1:1")
    assert result.exit_code == 6
    assert json.loads(result.stdout)["type"] == "urn:turnout:problem:unreachable"
    assert "turnout up" in result.stderr


def test_a_cut_after_the_last_event(run: Run, fake: FakeServer, site: Path) -> None:
    fake.cut_events_after = 30
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 0, result.stderr
    assert fake.requests("GET", "/events")[1].headers["last-event-id"] == "30"


def test_an_error_while_following_leaves_the_document(
    run: Run, fake: FakeServer, site: Path
) -> None:
    fake.problems["/events"] = (500, document(500, "internal", "A mistake"))
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["id"] == "dep-000000001"
    assert "A mistake" in result.stderr and "turnout show" in result.stderr


def test_interrupt_before_the_start(
    run: Run, fake: FakeServer, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "post_bytes", interrupt)
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["type"] == "urn:turnout:problem:aborted"


def test_a_server_that_is_busy_with_the_key_is_asked_again(
    run: Run, fake: FakeServer, site: Path
) -> None:

    answers = [
        JSONResponse(document(409, "conflict", "busy"), 409, headers={"retry-after": "1"}),
        JSONResponse({}, 502),
    ]
    right = fake._answer

    def sometimes(seen: object) -> object:
        return answers.pop() if answers else right(seen)  # type: ignore[arg-type]

    fake._answer = sometimes  # type: ignore[method-assign,assignment]
    assert run("deploy", "--to", "production", "--json").exit_code == 6
    answers[:] = [
        JSONResponse(document(409, "conflict", "busy"), 409, headers={"retry-after": "1"})
    ]
    assert run("deploy", "--to", "production", "--json").exit_code == 0
