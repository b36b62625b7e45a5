"""Routers are restarted, access logs switched, traffic remembered, and ``/metrics`` read."""

from __future__ import annotations

from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes.house import FakeHouse

ENVIRONMENT = "/api/v1/environments/shop/production"


def test_a_router_is_restarted_once_under_one_key(client: TestClient, house: FakeHouse) -> None:
    for _ in range(2):
        answer = client.post("/api/v1/hosts/local/router/restart", headers={"Idempotency-Key": "k"})
        assert answer.json() == {"epoch": 2, "took_ms": 1250.0, "version": "1.40.0"}
    assert house.coordinator.calls == [("restart_router", "admin")]
    assert client.post("/api/v1/hosts/web-9/router/restart").status_code == 404
    assert client.post("/api/v1/hosts/A/router/restart").status_code == 422


def test_an_access_log_is_what_was_put(client: TestClient, house: FakeHouse) -> None:
    assert client.put(f"{ENVIRONMENT}/access-log", json={"on": True}).status_code == 404
    client.post("/api/v1/deployments", json=deploy_request())
    for on in (True, True, False):
        answer = client.put(f"{ENVIRONMENT}/access-log", json={"on": on})
        assert (answer.status_code, answer.json()) == (200, {"on": on})
    assert house.coordinator.calls[-1] == ("access_log False", "admin")
    for wrong in ({}, {"on": "perhaps"}, {"on": True, "more": 1}):
        assert client.put(f"{ENVIRONMENT}/access-log", json=wrong).status_code == 422
    assert client.put(f"{ENVIRONMENT}/access-log", content=b"on").status_code == 415
    answer = client.post(f"{ENVIRONMENT}/access-log", json={"on": True})
    assert answer.status_code == 405 and answer.headers["allow"] == "PUT"


def test_the_traffic_of_a_time(client: TestClient) -> None:
    path = f"{ENVIRONMENT}/traffic/history"
    assert client.get(path).status_code == 404
    client.post("/api/v1/deployments", json=deploy_request())
    found = client.get(path, params={"since": "2026-11-20T14:00:00Z", "resolution": 60}).json()
    assert (found["since"], found["resolution_s"]) == ("2026-11-20T14:00:00Z", 60)
    assert client.get(path).status_code == 200
    for wrong in ("since=soon", "resolution=0", "resolution=x", "until=0001-01-01"):
        assert client.get(f"{path}?{wrong}").status_code == 422


def test_metrics_pass_the_door_with_a_token_only(house: FakeHouse) -> None:
    with house.client() as client:
        answer = client.get("/metrics")
        assert (answer.status_code, answer.text) == (200, "turnout_up 1\n")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get("/metrics", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/metrics/x").headers["content-type"].startswith("text/html")
    refused = house.client(token=False).get("/metrics")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
