"""Two hundred deployments at once: each ends well, each in its turn, and none starves."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stand import projects
from tests.stand.projects import client_of
from tests.stand.stand import Stand

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

PROJECTS, ENVIRONMENTS, ROUNDS = 4, 5, 10
LIMIT_S = 480.0


def test_200_deployments_started_at_once_all_end_well(stand: Stand, tmp_path: Path) -> None:
    requests = []
    for number in range(PROJECTS):
        project = projects.site(tmp_path, f"many-{number}", rollout_verify='"0s"')
        for _ in range(ROUNDS):
            project.change()
            request = project.request(stand)
            for name in ("production", *(f"env-{n}" for n in range(1, ENVIRONMENTS))):
                intent = request.intent.model_copy(update={"environment": name})
                requests.append(request.model_copy(update={"intent": intent}))
    assert len(requests) == 200

    with client_of(stand) as client:
        client.get("/server")
        with ThreadPoolExecutor(16) as pool:
            started = list(pool.map(lambda one: client.post("/deployments", one), requests))
    assert len({one["id"] for one in started}) == 200

    until = time.monotonic() + LIMIT_S
    while stand.query("select 1 from deployments where finished_at is null limit 1"):
        assert time.monotonic() < until, stand.query(
            "select status, count(*) from deployments group by status"
        )
        time.sleep(0.2)
    rows = stand.query("select * from deployments order by created_at")
    bad = [row for row in rows if row["status"] != "succeeded"]
    assert bad == []

    scopes = defaultdict(list)
    for row in rows:
        scopes[row["project"], row["environment"]].append(row)
    for scope, queue in scopes.items():
        assert len(queue) == ROUNDS, scope
        for before, after in itertools.pairwise(queue):
            assert before["finished_at"] <= after["started_at"], f"two at once in {scope}"

    # Nobody starves: when the first scope is through, every other one has begun.
    through = min(queue[-1]["finished_at"] for queue in scopes.values())
    assert all(queue[0]["finished_at"] <= through for queue in scopes.values())

    for (project, environment), queue in scopes.items():
        host = f"{project}.localhost"
        host = host if environment == "production" else f"{environment}.{host}"
        answer = stand.ask("/", host)
        assert answer.status == 200
        assert answer.headers["x-turnout-release"] == queue[-1]["release"], host


def test_no_wait_returns_at_once_and_the_queue_is_kept(stand: Stand, tmp_path: Path) -> None:
    project = projects.site(tmp_path, "queued", rollout_verify='"3s"')
    first = stand.cli("deploy", project.path, "--to", "production", "--no-wait")
    assert first.code == 0
    assert first.document["status"] in ("queued", "running")
    project.change()
    refused = stand.cli("deploy", project.path, "--to", "production", "--no-queue")
    assert refused.code == 7, refused
    assert refused.document["status"] == 409
    second = stand.cli("deploy", project.path, "--to", "production")
    assert second.code == 0, second
    shown = stand.cli("show", first.document["id"]).document
    assert shown["status"] == "succeeded"
    assert shown["finished_at"] <= second.document["started_at"]
