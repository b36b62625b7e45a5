"""Evidence, replays and the acts that overrule or confirm what a deployment waits for."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes.house import FakeHouse

DEPLOYMENTS = "/api/v1/deployments"


@pytest.fixture
def made(client: TestClient) -> str:
    return str(client.post(DEPLOYMENTS, json=deploy_request()).json()["id"])


@pytest.mark.parametrize("verb", ["approve", "reject", "promote"])
def test_a_word_is_said_once_under_one_key(
    client: TestClient, house: FakeHouse, made: str, verb: str
) -> None:
    answers = [
        client.post(
            f"{DEPLOYMENTS}/{made}/{verb}",
            json={"reason": "looks good"},
            headers={"Idempotency-Key": "one"},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].json() == answers[1].json()
    assert house.coordinator.calls.count((verb, "admin")) == 1


def test_evidence_has_as_many_points_as_asked_for(
    client: TestClient, house: FakeHouse, made: str
) -> None:
    assert client.get(f"{DEPLOYMENTS}/{made}/evidence").json()["deployment"] == made
    client.get(f"{DEPLOYMENTS}/{made}/evidence?points=20")
    assert [call for call, _ in house.coordinator.calls[-2:]] == ["evidence 300", "evidence 20"]
    for points in ("0", "2001", "x"):
        assert client.get(f"{DEPLOYMENTS}/{made}/evidence?points={points}").status_code == 422
    assert client.get(f"{DEPLOYMENTS}/dep-none/evidence").status_code == 404


def test_replay_takes_a_policy(client: TestClient, house: FakeHouse, made: str) -> None:
    answer = client.post(
        f"{DEPLOYMENTS}/{made}/replay",
        json={"alpha": 0.05, "latency_p99": None, "error_rate": {"max_increase": 0.01}},
    )
    assert answer.status_code == 200
    assert answer.json()["verdict"]["verdict"] == "unknown"
    (policy,) = house.coordinator.policies
    assert policy.alpha == 0.05 and policy.latency_p99 is None
    assert policy.min_requests == 100, "what is not named has its default"


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"alpha": 2}, "alpha"),
        ({"alhpa": 0.1}, "alhpa"),
        ({"error_rate": {"max_increase": -1}}, "error_rate.max_increase"),
        ({"metrics": [{"name": "a", "source": "http", "max": 1}]}, "metrics.0"),
    ],
)
def test_a_wrong_policy_names_its_field(
    client: TestClient, house: FakeHouse, made: str, policy: dict[str, Any], field: str
) -> None:
    answer = client.post(f"{DEPLOYMENTS}/{made}/replay", json=policy)
    assert answer.status_code == 422
    assert f"'{field}'" in answer.json()["detail"]
    assert not house.coordinator.policies


def test_a_time_zone_that_is_none_is_refused_at_the_door(
    client: TestClient, house: FakeHouse
) -> None:
    request = deploy_request()
    gate = {"name": "hours", "kind": "window", "timezone": "Europe/Berlim"}
    request["intent"]["rollout"] = {"gates": [gate]}
    for path in (DEPLOYMENTS, "/api/v1/plans"):
        answer = client.post(path, json=request)
        assert answer.status_code == 422
        assert "'intent.rollout.gates.0.timezone'" in answer.json()["detail"]
        assert "IANA" in answer.json()["detail"]
    assert not house.coordinator.deployments
    gate["timezone"] = "Europe/Berlin"
    assert client.post(DEPLOYMENTS, json=request).status_code == 201


def test_rollbacks_of_a_kind_reach_the_coordinator(
    client: TestClient, house: FakeHouse, made: str
) -> None:
    back = {"project": "shop", "environment": "production"}
    kinds = {"at": "2026-11-20T14:00:00Z", "only": "code", "drill": True, "force": True}
    answer = client.post("/api/v1/rollbacks", json={**back, **kinds})
    assert answer.status_code == 201
    asked = house.coordinator.rollbacks[-1]
    assert house.coordinator.causes == ["api"], "a program asked"
    client.post("/api/v1/rollbacks", json=back, headers={"User-Agent": "turnout-cli"})
    assert house.coordinator.causes[-1] == "manual"
    assert asked.at is not None and (asked.only, asked.drill, asked.force) == ("code", True, True)
    for wrong in ({"only": "Half!"}, {"at": "soon"}, {"drill": "perhaps"}):
        assert client.post("/api/v1/rollbacks", json={**back, **wrong}).status_code == 422
