"""Wrong, missing, huge and hostile input gets one clear problem, and changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes.house import FakeHouse, served
from turnout.api import bodies

HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"1e999",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"intent": NaN}',
    b"[" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"1" * 10_000,
    b'{"release": "\\ud800"}',
    json.dumps({"intent": {"project": "../../etc"}, "release": "x"}).encode(),
]
POSTS = [
    "/plans",
    "/deployments",
    "/rollbacks",
    "/rollbacks/plan",
    "/deployments/dep-1/abort",
    "/deployments/dep-1/approve",
    "/deployments/dep-1/replay",
]


def problem(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"].startswith("urn:turnout:problem:")
    assert document["title"] and document["detail"]
    return document


@pytest.mark.parametrize("path", POSTS)
def test_hostile_bodies(client: TestClient, house: FakeHouse, path: str) -> None:
    for body in HOSTILE:
        answer = client.post(
            f"/api/v1{path}", content=body, headers={"Content-Type": "application/json"}
        )
        if body == b"{}" and path.startswith("/deployments/"):
            assert answer.status_code == 404
            continue
        assert answer.status_code in (400, 422), body[:50]
        problem(answer)
    assert not house.coordinator.deployments


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"release": "AB" * 32}, "release"),
        ({"release": None}, "release"),
        ({"priority": "now"}, "priority"),
        ({"message": "x" * 2001}, "message"),
        ({"uploaded_bytes": -1}, "uploaded_bytes"),
        ({"extra": 1}, "extra"),
        ({"intent": {"project": "a_b", "environment": "x"}}, "intent.project"),
        ({"queue": "perhaps"}, "queue"),
    ],
)
def test_the_sentence_names_the_field(
    client: TestClient, change: dict[str, Any], field: str
) -> None:
    document = problem(client.post("/api/v1/deployments", json=deploy_request(**change)))
    assert document["status"] == 422
    assert f"'{field}'" in document["detail"]
    assert document["next_step"]


def test_a_slip_in_a_parameters_name_is_recognised(client: TestClient) -> None:
    document = problem(client.get("/api/v1/deployments?statis=failed"))
    assert "'statis'" in document["detail"] and "'status'" in document["next_step"]


def test_sent_values_are_not_repeated(client: TestClient) -> None:
    answer = client.post("/api/v1/deployments", json=deploy_request(release="a-secret-by-mistake"))
    assert "a-secret-by-mistake" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/deployments?limit=0",
        "/deployments?limit=201",
        "/deployments?limit=x",
        "/deployments?status=fine",
        "/deployments?cursor=%00",
        "/deployments?cursor=nonsense",
        "/deployments?project=UPPER",
        "/deployments/UPPER",
        "/deployments/" + "x" * 5000,
        "/environments/a_b/c",
        "/projects/shop/releases?cursor=AAAA",
        "/projects/shop/releases?cursor=" + "A" * 300,
        "/projects/shop/releases/xyz",
        "/events?after=-1",
        "/events?limit=0",
        "/deployments?statis=failed",
        "/deployments?limit=1&limit=2",
        "/server?x=1",
        "/doctor?%ff=1",
        "/events?after=99999999999999999999",
        "/deployments/dep-1/logs?tail=-1",
        "/deployments/dep-1/logs?tail=99999999",
    ],
)
def test_wrong_parameters_are_422(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}", headers={"Accept": "application/json"})
    assert answer.status_code == 422
    problem(answer)


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/deployments/", "/%2e%2e/health", "/deployments/a/b/c", "//"]
)
def test_unknown_addresses_are_404(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 404
    problem(answer)


def test_unknown_things_are_404(client: TestClient) -> None:
    for path in ("", "/events", "/logs"):
        answer = client.get(f"/api/v1/deployments/dep-none{path}")
        assert answer.status_code == 404
        assert problem(answer)["subject"] == "dep-none"


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "TRACE", "HEAD", "BREW"])
def test_wrong_methods_are_405(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/v1/deployments")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) <= {"GET", "POST"}


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "x"]
)
def test_wrong_types_are_415(client: TestClient, house: FakeHouse, content_type: str) -> None:
    answer = client.post(
        "/api/v1/deployments",
        content=json.dumps(deploy_request()),
        headers={"Content-Type": content_type},
    )
    assert answer.status_code == 415
    assert "application/json" in problem(answer)["next_step"]
    assert not house.coordinator.deployments


def test_encoded_bodies_are_415(client: TestClient) -> None:
    answer = client.post("/api/v1/deployments", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("path", "limit", "content_type"),
    [
        ("/deployments", bodies.JSON_BYTES, "application/json"),
        ("/projects/shop/uploads", bodies.MANIFEST_BYTES, bodies.MANIFEST_TYPE),
        (
            f"/projects/shop/uploads/{'0' * 64}/segments",
            bodies.SEGMENT_BYTES,
            bodies.SEGMENT_TYPE,
        ),
    ],
)
def test_a_declared_length_over_the_limit_is_413(
    client: TestClient, path: str, limit: int, content_type: str
) -> None:
    answer = client.post(
        f"/api/v1{path}",
        content=b"short",
        headers={"Content-Length": str(limit + 1), "Content-Type": content_type},
    )
    assert answer.status_code == 413
    assert problem(answer)["facts"]["limit_bytes"] == limit


@pytest.mark.parametrize("key", [None, "a-key"])
def test_an_undeclared_length_over_the_limit_is_413(
    client: TestClient, house: FakeHouse, key: str | None
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 16)

    answer = client.post(
        "/api/v1/deployments",
        content=endless(),
        headers={"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})},
    )
    assert answer.status_code == 413
    problem(answer)


def test_a_body_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch, house: FakeHouse) -> None:
    monkeypatch.setattr(bodies.Bodies.__init__, "__defaults__", (0.2,))
    with (
        served(house) as client,
        socket.create_connection(
            (client.base_url.host, client.base_url.port or 0), timeout=5
        ) as raw,
    ):
        raw.sendall(
            b"POST /api/v1/deployments HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n"
            + f"Authorization: Bearer {house.token}\r\n\r\n".encode()
            + b"{"
        )
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:turnout:problem:timeout" in answer


def test_a_mistake_of_ours_tells_no_internals(house: FakeHouse) -> None:
    house.coordinator.mistake = RuntimeError("the password is swordfish")
    with house.client() as client:
        answer = client.post("/api/v1/deployments", json=deploy_request())
    assert answer.status_code == 500
    assert problem(answer)["type"] == "urn:turnout:problem:internal"
    assert "swordfish" not in answer.text


def test_the_contract_is_served_and_free_of_the_frameworks_own_errors(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    ids = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            ids.append(operation["operationId"])
            assert operation.get("description") and operation["summary"], (method, path)
            if path != "/api/v1/health":
                assert "401" in operation["responses"]
            if method == "post":
                names = [item["name"] for item in operation["parameters"]]
                assert "Idempotency-Key" in names, path
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]
    assert len(ids) == len(set(ids))
