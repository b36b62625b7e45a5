"""A POST that is sent twice with one key happens once, whatever lies between."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes import house as houses
from tests.fakes.house import FakeHouse
from turnout.api.keybook import Answer, Claim, KeyBook
from turnout.api.tables import idempotency_keys as keys
from turnout.base import clock
from turnout.base.errors import Conflict

KEY = {"Idempotency-Key": "one"}


def test_the_same_request_gets_the_same_answer(client: TestClient, house: FakeHouse) -> None:
    first = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    second = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["location"] == first.headers["location"]
    assert len(house.coordinator.deployments) == 1


def test_another_request_with_the_key_is_refused(client: TestClient, house: FakeHouse) -> None:
    client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    for path, body in (
        ("/api/v1/deployments", deploy_request(message="other")),
        ("/api/v1/plans", deploy_request()),
    ):
        answer = client.post(path, json=body, headers=KEY)
        assert answer.status_code == 422
        assert answer.json()["subject"] == "one"
    assert len(house.coordinator.deployments) == 1


def test_a_refusal_may_be_tried_again(client: TestClient, house: FakeHouse) -> None:
    house.coordinator.mistake = Conflict("Held")
    assert client.post("/api/v1/deployments", json=deploy_request(), headers=KEY).status_code == 409
    house.coordinator.mistake = RuntimeError("a mistake of ours")
    assert client.post("/api/v1/deployments", json=deploy_request(), headers=KEY).status_code == 500
    house.coordinator.mistake = None
    answer = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    assert answer.status_code == 201 and "idempotency-replayed" not in answer.headers


@pytest.mark.parametrize("key", [b"", b"has space", b"x" * 256, b"\x80", b"tab\there"])
def test_bad_keys_are_422(client: TestClient, house: FakeHouse, key: bytes) -> None:
    answer = client.post(
        "/api/v1/deployments", json=deploy_request(), headers={"Idempotency-Key": key}
    )
    assert answer.status_code == 422
    assert not house.coordinator.deployments


def test_two_keys_are_422(client: TestClient, house: FakeHouse) -> None:
    answer = client.post(
        "/api/v1/deployments",
        json=deploy_request(),
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert answer.status_code == 422
    assert not house.coordinator.deployments


def test_a_request_under_way_is_a_conflict_to_be_asked_again(house: FakeHouse) -> None:
    import asyncio

    house.coordinator.gate = asyncio.Event()
    with house.client() as client:
        got: list[int] = []
        first = threading.Thread(
            target=lambda: got.append(
                client.post("/api/v1/deployments", json=deploy_request(), headers=KEY).status_code
            )
        )
        first.start()
        deadline = time.monotonic() + 10
        while not house.coordinator.calls and time.monotonic() < deadline:
            time.sleep(0.005)
        second = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
        assert second.status_code == 409
        assert second.headers["retry-after"] == "1"
        assert client.portal is not None
        client.portal.call(house.coordinator.gate.set)
        first.join(10)
        assert got == [201]
        again = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
        assert again.headers["idempotency-replayed"] == "true"
    assert len(house.coordinator.deployments) == 1


def _cut_off(house: FakeHouse, answered: bool) -> str:
    """Make a deployment under a key whose answer was never kept, as a crash leaves it."""
    with house.client() as client:
        answer = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    with house.database.transaction() as connection:
        connection.execute(keys.update().values(status=None, answer=None, headers=None))
    if not answered:
        house.coordinator.deployments.clear()
    deployment: str = answer.json()["id"]
    return deployment


@pytest.mark.parametrize("came_to_be", [True, False])
def test_a_crash_between_the_action_and_its_answer(
    house: FakeHouse, tmp_path: Path, came_to_be: bool
) -> None:
    made = _cut_off(house, came_to_be)
    restarted = houses.attach(tmp_path, house.database, house.coordinator)
    with restarted.client() as client:
        answer = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
        again = client.post("/api/v1/deployments", json=deploy_request(), headers=KEY)
    assert answer.status_code == 201
    assert (answer.json()["id"] == made) is came_to_be
    assert again.json() == answer.json()
    assert len(house.coordinator.deployments) == 1


def test_another_live_servers_request_is_left_alone(house: FakeHouse) -> None:
    other, mine = (KeyBook(house.database, alone=False) for _ in range(2))
    assert isinstance(other.claim("a", "k", "r"), Claim)
    with pytest.raises(Conflict):
        mine.claim("a", "k", "r")
    with house.database.transaction() as connection:
        connection.execute(keys.update().values(created_at=clock.now() - timedelta(minutes=3)))
    claim = mine.claim("a", "k", "r")
    assert isinstance(claim, Claim) and claim.orphaned_since is not None


def test_keys_are_forgotten_after_a_day_and_long_answers_at_once(house: FakeHouse) -> None:
    book = KeyBook(house.database, alone=True)
    claim = book.claim("a", "old", "r")
    assert isinstance(claim, Claim)
    book.keep(claim, Answer(200, {}, b"x"))
    assert isinstance(book.claim("a", "old", "r"), Answer)
    with house.database.transaction() as connection:
        connection.execute(keys.update().values(created_at=clock.now() - timedelta(hours=25)))
    again = book.claim("a", "old", "other")
    assert isinstance(again, Claim)
    book.keep(again, Answer(200, {}, b"x" * ((1 << 20) + 1)))
    with house.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(keys)).scalar() == 0


def test_accounts_do_not_meet(house: FakeHouse) -> None:
    book = KeyBook(house.database, alone=True)
    assert isinstance(book.claim("a", "k", "r1"), Claim)
    assert isinstance(book.claim("b", "k", "r2"), Claim)
