"""``show --evidence`` and ``replay``: what is printed, and policy files with their mistakes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.documents import ID, OLDER, RELEASE, deployment
from tests.cli.fake_server import FakeServer
from turnout.cli import charts
from turnout.wire.evidence import (
    ArmPoint,
    Decision,
    EvidenceDocument,
    EvidencePoint,
    ReplayDocument,
    VerdictDocument,
)

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BAD = VerdictDocument(
    verdict="bad",
    reason="error_rate is worse than allowed\x1b[2J",
    metrics={
        "error_rate": {
            "kind": "errors",
            "verdict": "bad",
            "e": 8103.1,
            "threshold": 200.0,
            "candidate": {"requests": 4711, "count": 287, "rate": 0.0609},
            "control": {"requests": 4698, "count": 14, "rate": 0.00298},
            "max_increase": 0.005,
        },
        "latency_p99": {
            "kind": "latency",
            "verdict": "good",
            "candidate": {"requests": 4711, "quantile": 97.3},
            "dry_run": True,
            "max_increase": 0.2,
        },
        "checkouts": {"kind": "value", "verdict": "unknown", "value": 4.0, "min": 3},
    },
)
DECIDED = Decision(at=BEGUN, step=7, what="abort", weight=25, verdict="bad", reason="it was bad")


def evidence(count: int = 200, **changes: Any) -> dict[str, Any]:
    points = tuple(
        EvidencePoint(
            at=BEGUN + timedelta(seconds=second),
            step=7,
            weight=5 if second < count // 2 else 25,
            available=second != 3,
            candidate=ArmPoint(requests=100, errors=6),
            control=ArmPoint(requests=100, errors=0),
            log_e={"error_rate": 0.05 * second},
        )
        for second in range(count)
    )
    document = EvidenceDocument(
        deployment=ID, project="shop", environment="production", strategy="canary",
        release=RELEASE, control=OLDER, log_threshold={"error_rate": math.log(200)},
        points=points, decisions=(DECIDED,), verdict=BAD,
    )  # fmt: skip
    return document.model_copy(update=changes).model_dump(mode="json")


def test_evidence_says_why(run: Run, fake: FakeServer) -> None:
    fake.deployments[ID] = deployment(status="rolled_back", reason="The release is not good")
    fake.documents[f"/deployments/{ID}/evidence"] = evidence()
    text = run("show", ID, "--evidence", "--points", "200").stdout
    assert fake.requests("GET", "/evidence")[0].query == {"points": "200"}
    assert f"canary of {RELEASE[:12]} to shop/production, compared with {OLDER[:12]}" in text
    assert "status: rolled back" in text and "The release is not good" in text
    assert "verdict: bad" in text and "\x1b" not in text
    row = next(line for line in text.splitlines() if line.startswith("  error_rate  "))
    assert "6.09% (287 of 4711)" in row and "200" in row and "0.5 points more" in row
    assert "latency_p99 (only shown)" in text and "at least 3" in text
    # Both arms: 6 % above, 0 % below, over the whole width.
    rows = text.splitlines()
    top = next(line for line in rows if "6.00% |" in line)
    bottom = next(line for line in rows if "0.00% |" in line)
    assert set(top.partition("|")[2]) == {"x"} and set(bottom.partition("|")[2]) == {"o"}
    assert "weight: 5 % from" in text and "25 % from" in text
    assert "in 1 of the points a host could not be asked" in text
    # The e-value grows from 1 and crosses its line of 200 on the way.
    line = next(row for row in rows if row.strip().startswith("200 |"))
    assert set(line.partition("|")[2]) == {"-", "x"} or "#" in line
    assert "decisions:" in text and "it was bad" in text
    assert all(len(row) <= 140 for row in rows)


def test_evidence_as_json_is_the_document(run: Run, fake: FakeServer) -> None:
    fake.deployments[ID] = deployment()
    fake.documents[f"/deployments/{ID}/evidence"] = evidence(3)
    assert json.loads(run("show", ID, "--evidence", "--json").stdout) == evidence(3)
    assert run("show", ID, "--evidence", "--points", "0").exit_code == 2
    assert run("show", "dep-404", "--evidence").exit_code == 2


def test_evidence_of_a_deployment_that_judged_nothing(run: Run, fake: FakeServer) -> None:
    fake.deployments[ID] = deployment()
    fake.documents[f"/deployments/{ID}/evidence"] = evidence(0, decisions=(), verdict=None)
    result = run("show", ID, "--evidence")
    assert result.exit_code == 0 and "Nothing was judged" in result.stdout


def test_a_chart_of_what_was_never_counted() -> None:
    times = [BEGUN, BEGUN]
    lines = list(charts.chart("t", [charts.Line("x", "a", [None, None])], times, str))
    assert lines[-1] == "  (nothing was counted)"
    (same,) = {*list(charts.chart("t", [charts.Line("x", "a", [0.0, 0.0])], times, str))[8:9]}
    assert same.endswith("|xx")
    assert [len(part) for part in charts.columns(7, 3)] == [2, 2, 3]
    assert charts.columns(0, 3) == []


REPLAYED = ReplayDocument(
    deployment=ID,
    verdict=VerdictDocument(verdict="good", reason="within its tolerance"),
    actual=BAD,
    first=BEGUN,
    decisions=(DECIDED.model_copy(update={"what": "verdict"}),),
).model_dump(mode="json")

TABLE = 'alpha = "5%"\nlatency_p99 = false\nlatency_p95 = { max = "300ms" }\n'
JSON = '{"alpha": 0.05, "latency_p99": null, "latency_p95": {"max": 300}}'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bare.toml", TABLE),
        ("table.toml", "[analysis]\n" + TABLE),
        (
            "turnout.toml",
            (
                'project = "shop"\n[static]\n[rollout.analysis]\nlatency_p99 = false\n'
                '[environments.production.analysis]\nalpha = "5%"\n'
                'latency_p95 = { max = "300ms" }\n'
            ),
        ),
        ("bare.json", JSON),
        ("no-suffix", '\n {"analysis": ' + JSON + "}"),
    ],
)
def test_replay_by_a_file(run: Run, fake: FakeServer, tmp_path: Path, name: str, text: str) -> None:
    fake.deployments[ID] = deployment()
    fake.documents[f"/deployments/{ID}/replay"] = REPLAYED
    (tmp_path / name).write_text(text)
    result = run("replay", ID, "--policy", str(tmp_path / name))
    assert result.exit_code == 0, result.stderr
    assert "by this policy good: within its tolerance" in result.stdout
    assert "not the same" in result.stdout and "first decided at" in result.stdout
    (asked,) = fake.requests("POST", "/replay")
    assert asked.json["alpha"] == 0.05 and asked.json["latency_p99"] is None
    assert asked.json["latency_p95"]["max"] == 300
    assert asked.json["error_rate"]["max_increase"] == 0, "what is not named has its default"
    printed = run("replay", ID, "--policy", str(tmp_path / name), "--json").stdout
    assert json.loads(printed) == REPLAYED


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.toml", 'alpha = "50%"', "p.toml:1:9: alpha must be at most 20%"),
        ("p.toml", '\nalhpa = "1%"', 'p.toml:2:1: unknown key "alhpa"; did you mean "alpha"?'),
        ("p.toml", "[analysis]\nerror_rate = 5", "p.toml:2:14: analysis.error_rate must be a tab"),
        ("p.toml", '[analysis]\nalpha = "1%"\n[more]\nx = 1', 'p.toml:3:2: unknown key "more"'),
        ("p.toml", "alpha = ", "p.toml:1:9: this is not TOML"),
        (
            "p.toml",
            "[[metrics]]\nname='a'\nsource='command'\ncommand=['x']\nmax=1\n" * 2,
            "p.toml:7:6: two metrics are named 'a'",
        ),
        ("p.json", '{\n  "alpha": 0.5\n}', "p.json:2:12: alpha must be at most 0.2"),
        ("p.json", '{"error_rate": {"max_increse": 1}}', 'p.json:1:17: unknown key "max_increse"'),
        ("p.json", '{"alpha": "much"}', "p.json:1:11: alpha must be a valid number"),
        (
            "p.json",
            '{"metrics": [\n {"name": "a", "source": "http", "url": "x", "max": 1}]}',
            "p.json:2:41: metrics[0].url must be an address",
        ),
        ("p.json", '{"alpha": }', "p.json:1:11: this is not JSON"),
        ("p.json", "[1]", "p.json:1:1: this is not a JSON object"),
        ("p.json", "[" * 100_000, "too deeply"),
        ("p.toml", "\udcff", "this is not UTF-8"),
    ],
)
def test_mistakes_in_a_policy_name_line_and_column(
    run: Run, fake: FakeServer, tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    result = run("replay", ID, "--policy", str(tmp_path / name), "--json")
    assert result.exit_code == 2
    assert says in json.loads(result.stdout)["detail"], result.stdout
    assert "policy file" in result.stderr
    assert not fake.seen


def test_a_policy_that_is_not_there(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    for where in (str(tmp_path / "none.toml"), str(tmp_path), "a\0b"):
        result = run("replay", ID, "--policy", where)
        assert result.exit_code == 2, where
        assert "next:" in result.stderr
    assert run("replay", ID).exit_code == 2
    assert not fake.seen
