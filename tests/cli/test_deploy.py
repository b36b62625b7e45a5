"""Deploying: what travels, what is printed, and every way in which it can end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.documents import document
from tests.cli.fake_server import FakeServer


def test_deploys_and_prints_the_document(run: Run, fake: FakeServer, site: Path) -> None:
    result = run("deploy", "--to", "production", "--json", "-m", "first")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["status"] == "succeeded"
    assert printed["a_field_of_tomorrow"] == 1
    assert "phases" not in printed and "steps" not in printed
    assert printed["uploaded_bytes"] > 0 and printed["reused_bytes"] == 0
    assert set(fake.blobs.values()) == {b"<h1>hello</h1>", b"body{}" * 1000}
    (asked,) = fake.requests("POST", "/deployments")
    assert asked.json["intent"]["component"]["static"]["spa"] is False
    assert asked.json["message"] == "first"
    assert asked.json["queue"] is True
    assert "promotion: done" in result.stderr


def test_human_output_says_where(run: Run, fake: FakeServer, site: Path) -> None:
    result = run("deploy", "--to", "production")
    assert result.exit_code == 0
    assert "succeeded: shop/production serves" in result.stdout
    assert "http://shop.localhost:8080/" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_the_second_deployment_sends_nothing(run: Run, fake: FakeServer, site: Path) -> None:
    run("deploy", "--to", "production")
    fake.seen.clear()
    result = run("deploy", "--to", "production", "--json")
    assert json.loads(result.stdout)["uploaded_bytes"] == 0
    assert json.loads(result.stdout)["reused_bytes"] == len("<h1>hello</h1>") + 6000
    assert not fake.requests("POST", "/segments") and not fake.requests("POST", "/commit")


@pytest.mark.parametrize(
    ("end", "code"),
    [("succeeded", 0), ("failed", 1), ("rejected", 3), ("rolled_back", 4), ("aborted", 5)],
)
def test_exit_codes_of_ends(run: Run, fake: FakeServer, site: Path, end: str, code: int) -> None:
    fake.end, fake.reason = end, "because of this"
    for words in (["--json"], []):
        result = run("deploy", "--to", "production", *words)
        assert result.exit_code == code
        assert "because of this" in result.stdout
    assert json.loads(run("deploy", "--to", "production", "--json").stdout)["status"] == end


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (422, "invalid-input", 2),
        (404, "not-found", 2),
        (403, "refused", 3),
        (401, "unauthenticated", 3),
        (409, "conflict", 7),
        (503, "unreachable", 6),
        (500, "failed", 1),
        (507, "exhausted", 1),
        (418, "something-new", 2),
        (500, "something-new", 1),
    ],
)
def test_a_refusal_is_the_problem_on_stdout(
    run: Run, fake: FakeServer, site: Path, status: int, name: str, code: int
) -> None:
    sent = document(status, name, "It cannot be", subject="shop/production")
    fake.problems["/deployments"] = (status, sent)
    result = run("deploy", "--to", "production", "--json", "--no-queue")
    assert result.exit_code == code
    assert json.loads(result.stdout) == sent
    assert "It cannot be" in result.stderr and "next:" in result.stderr
    assert run("deploy", "--to", "production").stdout == ""


def test_no_wait_prints_the_start(run: Run, fake: FakeServer, site: Path) -> None:
    fake.end = "never"
    result = run("deploy", "--to", "production", "--no-wait", "--json", "--priority", "high")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "running"
    assert fake.requests("POST", "/deployments")[0].json["priority"] == "high"


def test_a_wrong_token_says_what_to_do(run: Run, fake: FakeServer, site: Path) -> None:
    result = run("deploy", "--to", "production", "--token", "wrong", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["status"] == 401
    assert "TURNOUT_TOKEN" in result.stderr


def test_build_runs_first_and_its_output_is_packaged(
    run: Run, fake: FakeServer, site: Path
) -> None:
    build = "import pathlib;p=pathlib.Path('dist');p.mkdir();(p/'index.html').write_text('built')"
    (site / "turnout.toml").write_text(
        'project = "shop"\n[build]\n'
        f"command = ['python3', '-c', {json.dumps(build + ';print(5*5)')}]\n"
        'output = "dist"\n'
    )
    result = run("deploy", "--to", "production")
    assert result.exit_code == 0, result.stderr
    assert set(fake.blobs.values()) == {b"built"}
    assert "| 25" in result.stderr and "| 25" not in result.stdout


def test_a_failed_build_deploys_nothing(run: Run, fake: FakeServer, site: Path) -> None:
    (site / "turnout.toml").write_text(
        'project = "shop"\n[build]\n'
        "command = ['python3', '-c', 'print(\"oh no\");raise SystemExit(3)']\n"
    )
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["facts"] == {"exit_code": 3, "tail": ["oh no"]}
    assert not [seen for seen in fake.seen if seen.method == "POST"]
    (site / "turnout.toml").write_text('project = "shop"\n[build]\ncommand = ["no-such-tool"]\n')
    assert "cannot be started" in run("deploy", "--to", "production").stderr


def test_without_a_file_what_init_would_find(run: Run, fake: FakeServer, site: Path) -> None:
    (site / "turnout.toml").unlink()
    result = run("deploy", str(site), "--to", "staging", "--strategy", "rolling")
    assert result.exit_code == 0, result.stderr
    assert "static site" in result.stderr and "turnout init" in result.stderr
    intent = fake.requests("POST", "/deployments")[0].json["intent"]
    assert intent["project"] == "shop" and intent["environment"] == "staging"
    assert intent["rollout"]["strategy"] == "rolling"


def test_a_directory_of_the_project_is_packaged_as_it_is(
    run: Run, fake: FakeServer, site: Path
) -> None:
    (site / "ready").mkdir()
    (site / "ready" / "index.html").write_text("ready")
    (site / "turnout.toml").write_text('project = "shop"\n[build]\ncommand = ["false"]\n')
    result = run("deploy", "ready", "--to", "production")
    assert result.exit_code == 0, result.stderr
    assert set(fake.blobs.values()) == {b"ready"}


@pytest.mark.parametrize(
    "words",
    [
        ["--to", "Prod!"],
        ["--to", "x" * 1000],
        ["--to", "production", "--project", "../x"],
        ["--to", "production", "--strategy", "yolo"],
        ["--to", "production", "--priority", "now"],
        ["--to", "production", "--message", "x" * 2001],
        ["--to", "production", "nowhere"],
        ["--to", "production", "--token", "a\nb"],
        ["--to", "production", "--server", "ftp://x"],
        ["--to", "production", "--fingerprint", "abc"],
        [],
        ["--to"],
        ["--to", "production", "--frobnicate"],
    ],
)
def test_bad_arguments_change_nothing(
    run: Run, fake: FakeServer, site: Path, words: list[str]
) -> None:
    result = run("deploy", "--json", *words)
    assert result.exit_code == 2
    problem = json.loads(result.stdout)
    assert problem["type"] == "urn:turnout:problem:invalid-input"
    assert problem["next_step"]
    assert result.stderr.startswith("error: ")
    assert not [seen for seen in fake.seen if seen.method == "POST"]


def test_plan_prints_and_runs_nothing(run: Run, fake: FakeServer, site: Path) -> None:
    result = run("plan", "--to", "production")
    assert result.exit_code == 0, result.stderr
    assert "place the files on local" in result.stdout and "taken back by" in result.stdout
    assert json.loads(run("plan", "--to", "production", "--json").stdout)["digest"] == "ef" * 32
    assert not fake.deployments


def test_a_broken_file_names_the_place(run: Run, fake: FakeServer, site: Path) -> None:
    (site / "turnout.toml").write_text('project = "shop"\n[run]\ncomand = ["x"]\n')
    result = run("deploy", "--to", "production", "--json")
    assert result.exit_code == 2
    assert "turnout.toml:3:1" in result.stderr and '"command"' in result.stderr
    mistakes = json.loads(result.stdout)["facts"]["mistakes"]
    assert [(m["line"], m["column"]) for m in mistakes] == [(3, 1)]
    assert not fake.seen
