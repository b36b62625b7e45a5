"""The other commands: what they ask, what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.documents import AT, ID, OLDER, RELEASE, deployment, environment, release
from tests.cli.fake_server import FakeServer
from turnout.cli import credentials, following
from turnout.cli.group import wants_json

LOG = {"at": AT, "host": "local", "source": "app/0", "text": "hello \x1b[31mred"}


def test_rollback_follows_to_its_end(run: Run, fake: FakeServer, site: Path) -> None:
    result = run("rollback", "production", "--json", "--reason", "bad", "--to", OLDER[:8])
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["kind"] == "rollback" and printed["status"] == "succeeded"
    (asked,) = fake.requests("POST", "/rollbacks")
    assert asked.json == {
        "project": "shop",
        "environment": "production",
        "to": OLDER[:8],
        "at": None,
        "only": None,
        "drill": False,
        "force": False,
        "reason": "bad",
    }
    assert "place the files" in run("rollback", "production", "--plan").stdout
    fake.end = "failed"
    assert run("rollback", "production").exit_code == 1
    fake.end = "never"
    assert run("rollback", "production", "--no-wait").exit_code == 0


@pytest.mark.parametrize("to", ["abc", "xyzxyz", "A" * 10, "a" * 65])
def test_rollback_to_no_release(run: Run, fake: FakeServer, site: Path, to: str) -> None:
    result = run("rollback", "production", "--to", to, "--json")
    assert result.exit_code == 2
    assert not fake.requests("POST", "/rollbacks")


def test_the_project_is_guessed_from_the_server(
    run: Run, fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fake.environments = [environment("one"), environment("two", "staging")]
    assert run("rollback", "production").exit_code == 0
    assert fake.requests("POST", "/rollbacks")[0].json["project"] == "one"
    result = run("releases", "--json")
    assert result.exit_code == 2
    assert "one, two" in json.loads(result.stdout)["detail"]


def test_status_is_a_matrix(run: Run, fake: FakeServer) -> None:
    assert "Nothing was deployed yet" in run("status").stderr
    fake.environments = [environment(), environment("shop", "staging", live_release=None)]
    result = run("status")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["PROJECT", "ENVIRONMENT", "LIVE"]
    assert RELEASE[:12] in lines[1] and "staging" in lines[2]
    assert len(json.loads(run("status", "--json").stdout)["items"]) == 2
    assert len(json.loads(run("status", "staging", "--json").stdout)["items"]) == 1
    assert run("status", "nowhere").exit_code == 2
    assert run("status", "Bad Name").exit_code == 2


def test_lists_have_pages(run: Run, fake: FakeServer, site: Path) -> None:
    fake.documents["/deployments"] = {"items": [deployment()], "next_cursor": "c2"}
    result = run("list", "--limit", "1", "--status", "running", "--environment", "production")
    assert ID in result.stdout and "--cursor c2" in result.stderr
    (asked,) = fake.requests("GET", "/deployments")
    assert asked.query == {"limit": "1", "status": "running", "environment": "production"}
    run("list", "--cursor", "c2", "--json")
    assert fake.requests("GET", "/deployments")[1].query["cursor"] == "c2"
    page = {"items": [release(RELEASE, "shop")], "next_cursor": None}
    fake.documents["/projects/shop/releases"] = page
    assert json.loads(run("releases", "--json").stdout) == page
    assert RELEASE[:12] in run("releases").stdout
    for words in (["--limit", "0"], ["--limit", "201"], ["--status", "odd"], ["--limit", "x"]):
        assert run("list", *words).exit_code == 2


def test_show(run: Run, fake: FakeServer) -> None:
    step = {"index": 0, "phase": "staging", "action": "stage", "host": "local", "attempts": 2}
    fake.deployments[ID] = deployment(
        status="failed",
        reason="it broke\nbadly",
        steps=[{**step, "title": "place", "status": "failed", "error": "no room"}],
    )
    text = run("show", ID).stdout
    assert "x place on local, 2 attempts: no room" in text and "badly" in text
    assert json.loads(run("show", ID, "--json").stdout)["steps"][0]["error"] == "no room"
    assert run("show", "dep-404").exit_code == 2


@pytest.mark.parametrize("hostile", ["../../server", "a/b", "A", "", "-x", "x" * 41, "é"])
def test_hostile_identifiers_never_reach_the_server(
    run: Run, fake: FakeServer, hostile: str
) -> None:
    acts = ("abort", "pause", "resume", "retry", "approve", "reject", "promote-now")
    for command in ("show", "logs", "events", *acts):
        result = run(command, "--json", "--", hostile)
        assert result.exit_code == 2
    assert not fake.seen


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "retry", "approve", "reject"])
def test_acts(run: Run, fake: FakeServer, verb: str) -> None:
    fake.deployments[ID] = deployment()
    result = run(verb, ID, "--reason", "why not", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "paused"
    (asked,) = fake.requests("POST", f"/{verb}")
    assert asked.json == {"reason": "why not"}
    asked = {"approve": "approved", "reject": "rejected"}.get(verb, f"asked to {verb}")
    assert run(verb, ID).stdout.splitlines()[0] == f"{asked}: {ID} to shop/production (paused)"


def test_promote_now_is_the_promote_of_the_api(run: Run, fake: FakeServer) -> None:
    fake.deployments[ID] = deployment()
    assert "asked to promote now" in run("promote-now", ID, "--reason", "in a hurry").stdout
    (asked,) = fake.requests("POST", f"/deployments/{ID}/promote")
    assert asked.json == {"reason": "in a hurry"}


def test_retry_of_what_has_ended_shows_the_new_deployment(run: Run, fake: FakeServer) -> None:
    fake.deployments["dep-000000009"] = deployment("dep-000000010", status="queued")
    assert "(dep-000000010)" in run("retry", "dep-000000009").stdout


def test_traffic(run: Run, fake: FakeServer, site: Path) -> None:
    row = {
        "release": RELEASE,
        "revision": "12" * 8,
        "host": "local",
        "weight": 100,
        "share": 0.5,
        "requests": 7,
        "by_class": {"2xx": 7},
        "error_rate": 0.0,
        "failures": 0,
        "in_flight": 1,
        "latency_ms": {"p50": 1.25},
    }
    document = {"project": "shop", "environment": "production", "rows": [row]}
    fake.documents["/environments/shop/production/traffic"] = document
    text = run("traffic", "production").stdout
    assert "50.0%" in text and "1.2 ms" in text and "100 %" in text
    assert json.loads(run("traffic", "production", "--json").stdout) == document


def test_events(run: Run, fake: FakeServer) -> None:
    fake.deployments[ID] = deployment()
    stored = run("events", ID, "--json", "--after", "20").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in stored] == list(range(21, 31))
    followed = run("events", ID, "-f").stdout.splitlines()
    assert followed[-1].split()[:1] == ["30"] and "deployment.finished" in followed[-1]
    fake.cut_events_after = 3
    lines = run("events", ID, "-f", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 31))


def test_logs(run: Run, fake: FakeServer) -> None:
    fake.documents[f"/deployments/{ID}/logs"] = {"items": [LOG], "next_cursor": None}
    assert (
        run("logs", ID, "--tail", "5").stdout == "03:04:05.000 local app/0 | hello \\x1b[31mred\n"
    )
    assert json.loads(run("logs", ID, "--json").stdout)["text"] == LOG["text"]
    assert fake.requests("GET", "/logs")[0].query["tail"] == "5"


def test_doctor(run: Run, fake: FakeServer) -> None:
    check = {"name": "router", "status": "ok", "detail": "alive", "next_step": ""}
    fake.documents["/doctor"] = {"ok": True, "checks": [check]}
    result = run("doctor", "--json")
    assert result.exit_code == 0
    names = {found["name"]: found["status"] for found in json.loads(result.stdout)["checks"]}
    assert names["python"] == names["logins"] == names["router"] == "ok"
    assert names["server"] == "warning"  # another version
    check.update(status="error", next_step="start it")
    result = run("doctor")
    assert result.exit_code == 1 and "next: start it" in result.stdout


def test_doctor_without_a_server(run: Run) -> None:
    result = run("doctor", "--json", "--server", "http://127.0.0.1:1")
    assert result.exit_code == 1
    found = {c["name"]: c for c in json.loads(result.stdout)["checks"]}
    assert found["server"]["status"] == "error" and "turnout up" in found["server"]["next_step"]


def test_doctor_sees_open_credentials(run: Run) -> None:
    credentials.save("http://127.0.0.1:1", "t").chmod(0o666)
    found = json.loads(run("doctor", "--json").stdout)["checks"]
    assert [c["status"] for c in found if c["name"] == "logins"] == ["error"]


def test_version(run: Run, fake: FakeServer) -> None:
    assert json.loads(run("version", "--json").stdout)["server"] == "9.9.9"
    assert json.loads(run("version", "--json", "--server", "127.0.0.1:1").stdout)["server"] is None
    assert run("version").stdout.startswith("turnout ")


def test_an_answer_that_is_no_turnout(run: Run, fake: FakeServer) -> None:
    fake.documents["/environments"] = ["odd"]
    assert run("status").exit_code == 1
    fake.documents["/environments"] = {"items": [{"project": "x"}]}
    result = run("status")
    assert result.exit_code == 1 and "cannot be understood" in result.stderr


def test_nothing_at_all_and_unknown_commands(run: Run) -> None:
    assert run().exit_code == 2
    result = run("deplyo", "--json")
    assert result.exit_code == 2
    assert "deploy" in json.loads(result.stdout)["detail"]
    assert run("--help").exit_code == 0


def test_a_bug_is_a_problem_too(
    run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "show", lambda *_, **__: 1 / 0)
    fake.deployments[ID] = deployment()
    result = run("pause", ID, "--json")
    assert result.exit_code == 1
    assert "division by zero" in json.loads(result.stdout)["detail"]


def test_words_after_two_dashes_are_no_options() -> None:
    assert wants_json(["status", "--json"]) and not wants_json(["show", "--", "--json"])


def test_every_command_takes_the_common_options(run: Run) -> None:
    from typer.main import get_command

    from turnout.cli.app import app

    group = get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    for name in (
        *("init", "deploy", "plan", "rollback", "status", "list", "show", "releases", "logs"),
        *("events", "pause", "resume", "abort", "retry", "traffic", "doctor", "version"),
        *("approve", "reject", "promote-now", "replay"),
    ):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {"--json", "--server", "--token"} <= options, name


CLI = [sys.executable, "-c", "from turnout.cli.app import app; app()"]


def test_real_process_and_a_closed_pipe(fake: FakeServer) -> None:
    fake.documents["/deployments"] = {"items": [deployment()] * 200, "next_cursor": None}
    process = subprocess.Popen(
        [*CLI, "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) in (0, 1)


def test_no_server_code_is_imported() -> None:
    code = (
        "import sys, pkgutil, importlib, turnout.cli as c\n"
        "for m in pkgutil.iter_modules(c.__path__): importlib.import_module('turnout.cli.'+m.name)\n"
        "bad = {'sqlalchemy','fastapi','dbos','starlette','turnout.agent','turnout.api',"
        "'turnout.coordinator'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_stays_light() -> None:
    code = (
        "import sys; from turnout.cli.app import app\n"
        "print(sorted({'pydantic','httpx2','rich','stamina','tomlkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_project_or_environment_that_does_not_exist_is_an_error(
    run: Run, fake: FakeServer
) -> None:
    fake.environments = [environment()]
    fake.documents["/deployments"] = {"items": [], "next_cursor": None}
    for words in (
        ["list", "--project", "nowhere"],
        ["list", "--environment", "nowhere"],
        ["status", "nowhere"],
    ):
        result = run(*words, "--json")
        assert result.exit_code == 2, words
        problem = json.loads(result.stdout)
        assert problem["subject"] == "nowhere" and problem["next_step"]
    assert run("list", "--environment", "production").exit_code == 0, "it exists, and has none"
    assert run("list", "--status", "failed").exit_code == 0
    fake.environments = []
    assert run("status", "--project", "nowhere").exit_code == 2
    assert run("status").exit_code == 0, "an empty server is no error"
