"""Every command of the contract once, with ``--json``, against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stand import projects
from tests.stand.projects import Project
from tests.stand.stand import Ended, Stand
from turnout.wire.api import (
    DeploymentDetail,
    DeploymentDocument,
    Doctor,
    EnvironmentDocument,
    Event,
    LogEntry,
    PlanDocument,
    ReleaseDocument,
    TrafficDocument,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

KEYS = {
    *("id", "project", "environment", "strategy", "release", "status", "phase", "started_at"),
    *("finished_at", "duration_s", "url", "release_url", "uploaded_bytes", "reused_bytes"),
    *("events_url", "reason"),
}
"""What the contract promises of the final document of ``deploy``."""


@pytest.fixture(scope="module")
def project(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return projects.app(tmp_path_factory.mktemp("commands"), "shop", rollout_keep_warm='"60s"')


@pytest.fixture(scope="module")
def deployed(stand: Stand, project: Project) -> list[Ended]:
    found = []
    for _ in range(2):
        project.change()
        found.append(stand.cli("deploy", project.path, "--to", "production", "--message", "new"))
    return found


def test_deploy(deployed: list[Ended]) -> None:
    for ended in deployed:
        assert ended.code == 0, ended
        assert ended.document.keys() >= KEYS
        document = DeploymentDocument.model_validate(ended.document)
        assert document.status == "succeeded"
        assert document.url.startswith("http://shop.localhost:")
        assert document.message == "new"
        assert document.duration_s is not None


def test_plan_prints_what_deploy_would_run_and_runs_nothing(
    stand: Stand, project: Project, deployed: list[Ended]
) -> None:
    before = stand.cli("list").document
    project.change()
    ended = stand.cli("plan", project.path, "--to", "production")
    assert ended.code == 0, ended
    plan = PlanDocument.model_validate(ended.document)
    assert plan.live_release == deployed[-1].document["release"]
    assert stand.cli("list").document == before
    after = stand.cli("deploy", project.path, "--to", "production")
    shown = DeploymentDetail.model_validate(stand.cli("show", after.document["id"]).document)
    assert [s.title for s in shown.steps] == [s.title for s in plan.steps]


def test_status_list_show_releases_traffic(stand: Stand, deployed: list[Ended]) -> None:
    status = stand.cli("status")
    assert status.code == 0
    environments = [EnvironmentDocument.model_validate(one) for one in status.document["items"]]
    assert [one.environment for one in environments] == ["production"]
    assert environments[0].health == "healthy"
    one = stand.cli("status", "production", "--project", "shop")
    assert one.code == 0, one

    listed = stand.cli("list").document
    documents = [DeploymentDocument.model_validate(item) for item in listed["items"]]
    assert [d.created_at for d in documents] == sorted(
        (d.created_at for d in documents), reverse=True
    )
    detail = DeploymentDetail.model_validate(stand.cli("show", documents[-1].id).document)
    assert [phase.name for phase in detail.phases] == [
        *("initiation", "preparation", "staging", "validation", "promotion", "verification"),
        "cleanup",
    ]
    assert {step.status for step in detail.steps} == {"done"}

    releases = stand.cli("releases", "--project", "shop").document["items"]
    live = [r for r in map(ReleaseDocument.model_validate, releases) if r.live_in]
    assert len(live) == 1

    stand.ask("/", "shop.localhost")
    traffic = stand.cli("traffic", "production", "--project", "shop")
    assert traffic.code == 0, traffic
    rows = TrafficDocument.model_validate(traffic.document).rows
    assert sum(row.weight for row in rows) == 100


def test_events_and_logs(stand: Stand, deployed: list[Ended]) -> None:
    identifier = deployed[0].document["id"]
    events = stand.cli("events", identifier)
    assert events.code == 0
    found = [Event.model_validate_json(line) for line in events.out.splitlines()]
    assert [e.seq for e in found] == sorted({e.seq for e in found})
    # What it cost in requests is counted a few seconds behind the end.
    ended = next(at for at, one in enumerate(found) if one.kind == "deployment.finished")
    assert {one.kind for one in found[ended + 1 :]} <= {"requests.counted"}
    followed = stand.cli("events", identifier, "-f", timeout=30)
    lines = events.out.splitlines()
    assert followed.out.splitlines()[: ended + 1] == lines[: ended + 1]
    behind = [Event.model_validate_json(one) for one in followed.out.splitlines()[ended + 1 :]]
    assert {one.kind for one in behind} <= {"requests.counted"}, "its end ends the stream"

    last = stand.cli("list", "--project", "shop").document["items"][0]["id"]
    logs = stand.cli("logs", last)
    assert logs.code == 0, logs
    entries = [LogEntry.model_validate_json(line) for line in logs.out.splitlines()]
    assert any("listens on" in entry.text for entry in entries), logs.out


def test_pause_resume_abort_retry(stand: Stand, project: Project, deployed: list[Ended]) -> None:
    project.set(rollout_verify='"600s"')
    project.change()
    started = stand.cli("deploy", project.path, "--to", "production", "--no-wait")
    identifier = started.document["id"]
    paused = stand.cli("pause", identifier, "--reason", "lunch")
    assert paused.code == 0, paused
    resumed = stand.cli("resume", identifier)
    assert resumed.code == 0, resumed
    aborted = stand.cli("abort", identifier, "--reason", "changed our minds")
    assert aborted.code == 0, aborted
    followed = stand.run("events", identifier, "-f", "--json", timeout=60)
    assert json.loads(followed.out.splitlines()[-1])["data"]["status"] == "aborted"
    project.set(rollout_verify='"300ms"')
    wrong = stand.cli("pause", identifier)
    assert wrong.code == 1, wrong
    again = stand.cli("retry", identifier)
    assert again.code == 0, again
    assert again.document["id"] != identifier
    assert stand.cli("abort", again.document["id"]).code == 0
    stand.run("events", again.document["id"], "-f", "--json", timeout=60)


def test_rollback(stand: Stand, deployed: list[Ended]) -> None:
    live = stand.cli("status").document["items"][0]["live_release"]
    ended = stand.cli("rollback", "production", "--project", "shop", "--reason", "a test")
    assert ended.code == 0, ended
    assert ended.document["kind"] == "rollback"
    assert ended.document["release"] != live
    named = stand.cli("rollback", "production", "--project", "shop", "--to", live[:12])
    assert named.code == 0, named
    assert named.document["release"] == live


def test_init_doctor_version(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "index.html").write_text("<h1>Hello</h1>")
    made = stand.cli("init", tmp_path / "new")
    assert made.code == 0, made
    assert isinstance(made.document, dict)
    deployed = stand.cli("deploy", tmp_path / "new", "--to", "production")
    assert deployed.code == 0, deployed
    doctor = stand.cli("doctor")
    assert doctor.code == 0, doctor
    assert Doctor.model_validate(doctor.document).ok
    version = stand.cli("version")
    assert version.code == 0
    assert isinstance(version.document, dict)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("show", "dep-0000000000000000zz"), (1, 2)),
        (("show", "../../etc"), (2,)),
        (("rollback", "production", "--project", "nobody"), (1, 2)),
        (("rollback", "production", "--project", "shop", "--to", "0000000000"), (2,)),
        (("status", "Not An Environment"), (2,)),
        (("deploy", "/nowhere", "--to", "production"), (2,)),
        (("nonsense",), (2,)),
        (("list", "--server", "http://127.0.0.1:1"), (6,)),
        (("list", "--token", "wrong"), (3,)),
    ],
)
def test_what_is_wrong_is_a_problem_with_the_right_exit_code(
    stand: Stand, deployed: list[Ended], argv: tuple[str, ...], code: tuple[int, ...]
) -> None:
    ended = stand.cli(*argv)
    assert ended.code in code, ended
    assert ended.document.keys() >= {"type", "title", "status", "detail"}, ended
    plain = stand.run(*argv)
    assert plain.code in code
    assert "Traceback" not in plain.said
    assert plain.said.strip()
