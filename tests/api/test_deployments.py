"""Deployments are started, listed, shown and acted on; rollbacks too."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests import RELEASE, deploy_request
from tests.fakes.house import FakeHouse


def start(client: TestClient, **changes: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/deployments", json=deploy_request(**changes))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/deployments/{document['id']}"
    return document


def test_start_show_and_list(client: TestClient, house: FakeHouse) -> None:
    first, second = start(client), start(client)
    assert house.coordinator.calls == [("deploy", "admin")] * 2
    detail = client.get(f"/api/v1/deployments/{first['id']}").json()
    assert detail["phases"] == [] and detail["id"] == first["id"]
    page = client.get("/api/v1/deployments", params={"limit": 1}).json()
    assert [item["id"] for item in page["items"]] == [second["id"]]
    page = client.get(
        "/api/v1/deployments", params={"limit": 1, "cursor": page["next_cursor"]}
    ).json()
    assert [item["id"] for item in page["items"]] == [first["id"]]
    assert page["next_cursor"] is None
    house.coordinator.finish(first["id"])
    page = client.get("/api/v1/deployments", params={"status": "succeeded"}).json()
    assert [item["id"] for item in page["items"]] == [first["id"]]


def test_plans_start_nothing(client: TestClient, house: FakeHouse) -> None:
    assert client.post("/api/v1/plans", json=deploy_request()).json()["steps"]
    start(client)
    back = {"project": "shop", "environment": "production"}
    assert client.post("/api/v1/rollbacks/plan", json=back).json()["kind"] == "rollback"
    assert [call for call, _ in house.coordinator.calls] == ["deploy"]


def test_rollback(client: TestClient) -> None:
    start(client)
    answer = client.post(
        "/api/v1/rollbacks",
        json={"project": "shop", "environment": "production", "to": RELEASE[:6], "reason": "x"},
    )
    assert answer.status_code == 201
    assert answer.json()["kind"] == "rollback"


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "abort", "retry", "approve", "reject", "promote"]
)
def test_acts(client: TestClient, house: FakeHouse, verb: str) -> None:
    made = start(client)
    answer = client.post(f"/api/v1/deployments/{made['id']}/{verb}", json={"reason": "why not"})
    assert answer.status_code == 200
    assert house.coordinator.calls[-1] == (verb, "admin")


def test_an_act_on_an_ended_deployment_is_a_conflict(client: TestClient, house: FakeHouse) -> None:
    made = start(client)
    house.coordinator.finish(made["id"])
    answer = client.post(f"/api/v1/deployments/{made['id']}/abort", json={})
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "urn:turnout:problem:conflict",
        "title": "Something else holds what is needed",
        "status": 409,
        "detail": f"The deployment has ended: {made['id']}",
        "instance": f"/api/v1/deployments/{made['id']}/abort",
        "subject": made["id"],
        "next_step": "Start another.",
        "facts": {},
    }


def test_a_release_that_is_not_here_cannot_be_deployed(
    client: TestClient, house: FakeHouse
) -> None:
    answer = client.post("/api/v1/deployments", json=deploy_request(release="c" * 64))
    assert answer.status_code == 404
    assert not house.coordinator.calls


def test_environments_and_traffic(client: TestClient, house: FakeHouse) -> None:
    assert client.get("/api/v1/environments").json() == {"items": [], "next_cursor": None}
    made = start(client)
    house.coordinator.finish(made["id"])
    items = client.get("/api/v1/environments", params={"project": "shop"}).json()["items"]
    assert [item["live_release"] for item in items] == [RELEASE]
    one = client.get("/api/v1/environments/shop/production").json()
    assert one == items[0]
    assert client.get("/api/v1/environments/shop/production/traffic").json()["rows"] == []
    assert client.get("/api/v1/environments/shop/nowhere").status_code == 404


def test_doctor_is_not_ok_with_an_error(client: TestClient) -> None:
    assert client.get("/api/v1/doctor").json()["ok"] is True


def test_releases_say_where_they_are_live(client: TestClient, house: FakeHouse) -> None:
    made = start(client)
    house.coordinator.finish(made["id"])
    page = client.get("/api/v1/projects/shop/releases").json()
    assert page["items"][0]["live_in"] == ["production"]
    assert client.get(f"/api/v1/projects/shop/releases/{RELEASE}").json() == page["items"][0]
    assert client.get("/api/v1/projects/other/releases").status_code == 404


def test_release_pages_meet_without_gap_or_repetition(client: TestClient, house: FakeHouse) -> None:
    from turnout.environments.catalogue import Catalogue

    catalogue = Catalogue(house.database)
    for number in range(25):
        catalogue.add("blog", f"{number:064x}", files=1, size=1)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "4", **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/v1/projects/blog/releases", params=params).json()
        seen += [item["release"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"{number:064x}" for number in reversed(range(25))]
