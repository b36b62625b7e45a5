"""Nobody without a good token gets past the door, and the door says nothing else."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes.house import FakeHouse
from turnout.api.door import AllowedHosts


def test_health_needs_no_token_and_tells_nothing(house: FakeHouse) -> None:
    answer = house.client(token=False).get("/api/v1/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer turnout_000000000000_" + "A" * 43,
        "Bearer turnout_" + "x" * 9000,
        "Bearer \x80\xff",
        "Bearer ' OR 1=1 --",
    ],
)
def test_a_bad_token_is_401_everywhere(house: FakeHouse, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for path in ("/server", "/deployments", "/nothing", "/openapi.json"):
        answer = house.client(token=False).get(f"/api/v1{path}", headers=headers)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:turnout:problem:unauthenticated"


def test_two_authorization_headers_are_refused(house: FakeHouse) -> None:
    answer = house.client(token=False).get(
        "/api/v1/server",
        headers=[("Authorization", f"Bearer {house.token}"), ("Authorization", "Bearer x")],
    )
    assert answer.status_code == 401


def test_no_body_is_read_before_the_token_is_checked(house: FakeHouse) -> None:
    answer = house.client(token=False).post("/api/v1/deployments", json=deploy_request())
    assert answer.status_code == 401
    assert not house.coordinator.calls


def test_a_session_cookie_is_no_token(house: FakeHouse) -> None:
    account = house.tokens.verify(house.token)
    assert account is not None
    secret = house.sessions.open(account)
    answer = house.client(token=False).get(
        "/api/v1/server", headers={"Cookie": f"turnout_session={secret}"}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1", "[::2]"]
)
def test_a_rebound_name_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/health", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:turnout:problem:misdirected"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:7700"])
def test_loopback_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/health", headers={"Host": host}).status_code == 200


def test_hosts_beyond_loopback() -> None:
    hosts = AllowedHosts("::", ["deploy.example"])
    assert hosts.allows("Deploy.example:443")
    assert hosts.allows("192.0.2.7:7700")
    assert not hosts.allows("other.example")


def test_every_answer_has_the_security_headers_and_no_cors(client: TestClient) -> None:
    for path in ("/api/v1/server", "/api/v1/nothing", "/login", "/static/live.js"):
        answer = client.get(path, headers={"Origin": "https://evil.example"})
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = client.options(
        "/api/v1/deployments",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 405


def test_a_revoked_token_is_dead_at_once(house: FakeHouse, client: TestClient) -> None:
    assert client.get("/api/v1/server").status_code == 200
    account = house.tokens.verify(house.token)
    assert account is not None
    house.tokens.revoke(account.token)
    assert client.get("/api/v1/server").status_code == 401
