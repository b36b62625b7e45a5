"""Routers, log search and the live split: what is asked and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.documents import AT, RELEASE, environment
from tests.cli.fake_server import FakeServer

LINE = {
    "at": AT,
    "host": "local",
    "scope": "shop/production",
    "release": RELEASE,
    "revision": "12" * 8,
    "instance": 1,
    "stream": "err",
    "level": "error",
    "text": "no \x1b[31m way",
}
ERROR = {
    "fingerprint": "ab" * 8,
    "title": "no <str>",
    "level": "error",
    "count": 17,
    "first_at": AT,
    "last_at": AT,
    "hosts": {"local": 17},
    "example": "no 'way'",
}
REST = {"next_cursor": None, "complete": True, "scanned": 12, "silent": []}


def test_router_restart(run: Run, fake: FakeServer) -> None:
    restarted = {"epoch": 2, "took_ms": 1250.0, "version": "1.40.0"}
    fake.documents["/hosts/local/router/restart"] = restarted
    fake.documents["/hosts/web-1/router/restart"] = restarted
    assert json.loads(run("router", "restart", "--json").stdout) == restarted
    result = run("router", "restart", "web-1")
    assert result.stdout == "web-1: router 1.40.0 took over in 1.2 s (epoch 2)\n"
    assert "restarting the router of web-1" in result.stderr
    assert run("router", "restart", "../x").exit_code == 2
    assert run("router").exit_code == 2
    assert "restart" in run("router", "--help").stdout
    assert "HOST" in run("router", "restart", "--help").stdout


def test_access_log(run: Run, fake: FakeServer, site: Path) -> None:
    assert "the access log is on" in run("router", "access-log", "production").stdout
    off = run("router", "access-log", "production", "--off", "--json")
    assert json.loads(off.stdout) == {"on": False}
    asked = fake.requests("PUT", "/environments/shop/production/access-log")
    assert [seen.json for seen in asked] == [{"on": True}, {"on": False}]


def test_logs_search(run: Run, fake: FakeServer) -> None:
    older = {**LINE, "text": "older", "level": None}
    fake.documents["/logs"] = {**REST, "items": [LINE, older], "next_cursor": "c2"}
    result = run(
        *("logs", "search", "no way", "--project", "shop", "--environment", "production"),
        *("--release", RELEASE[:8], "--instance", "1", "--level", "warning", "--limit", "2"),
        *("--since", "2026-11-20T14:00:00Z", "--pattern", "a+", "--cursor", "c1"),
    )
    assert result.exit_code == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first.endswith("| older"), "oldest first for people"
    assert f"local shop/production {RELEASE[:12]}/1 error | no \\x1b[31m way" in second
    assert "--cursor c2" in result.stderr
    assert fake.requests("GET", "/logs")[0].query == {
        "text": "no way",
        "project": "shop",
        "environment": "production",
        "release": RELEASE[:8],
        "instance": "1",
        "level": "warning",
        "limit": "2",
        "since": "2026-11-20T14:00:00+00:00",
        "pattern": "a+",
        "cursor": "c1",
    }
    printed = run("logs", "--json", "search").stdout
    assert json.loads(printed)["items"][0] == LINE, "newest first for programs"


def test_logs_search_by_time_ago_and_without_a_find(run: Run, fake: FakeServer) -> None:
    fake.environments = [environment()]
    fake.documents["/logs"] = {**REST, "items": [], "complete": False, "silent": ["web-2"]}
    result = run("logs", "search", "--since", "15m", "--until", "1s", "--environment", "production")
    assert result.exit_code == 0
    query = fake.requests("GET", "/logs")[0].query
    assert query["since"] < query["until"] and query["project"] == "shop"
    assert "12 lines were looked at" in result.stderr and "web-2" in result.stderr


def test_errors_by_fingerprint(run: Run, fake: FakeServer) -> None:
    fake.documents["/logs/errors"] = {**REST, "items": [ERROR]}
    text = run("logs", "search", "--errors").stdout
    assert text.splitlines()[0].split()[:3] == ["COUNT", "FIRST", "LAST"]
    assert "17" in text and "ab" * 8 in text and "no <str>" in text
    assert json.loads(run("logs", "search", "--errors", "--json").stdout)["items"] == [ERROR]
    assert run("logs", "search", "--errors", "--cursor", "x").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--since", "soon"],
        ["--level", "loud"],
        ["--release", "xyz"],
        ["--instance", "-1"],
        ["--environment", "Prod!"],
        ["--host", "a/b"],
        ["--limit", "0"],
        ["x" * 2001],
        ["--frobnicate"],
    ],
)
def test_wrong_searches_ask_nothing(run: Run, fake: FakeServer, words: list[str]) -> None:
    result = run("logs", "search", "--json", *words)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["next_step"]
    assert not fake.seen


def test_search_is_a_word_only_where_a_word_may_stand(run: Run, fake: FakeServer) -> None:
    # The value of an option is none, and behind two dashes comes an identifier.
    assert "TEXT" not in run("logs", "--help").stdout
    assert "TEXT" in run("logs", "search", "--help").stdout
    fake.documents["/deployments/search/logs"] = {"items": [], "next_cursor": None}
    assert run("logs", "--", "search").exit_code == 0
    assert fake.requests("GET", "/deployments/search/logs")


def test_traffic_of_the_last_minute(run: Run, fake: FakeServer, site: Path) -> None:
    row = {
        "release": RELEASE,
        "revision": "12" * 8,
        "host": "local",
        "weight": 5,
        "share": 0.05,
        "requests": 1000,
        "by_class": {"2xx": 990, "5xx": 10},
        "error_rate": 0.01,
        "failures": 3,
        "in_flight": 1,
        "latency_ms": {"p50": 1.25, "p90": 2.0, "p99": 9.5},
    }
    point = {"at": AT, "requests": 60, "error_rate": 0.5, "weight": 5, "latency_ms": {"p99": 7}}
    idle = {"release": "00" * 32, "revision": "34" * 8, "points": []}
    base = "/environments/shop/production/traffic"
    fake.documents[base] = {"project": "shop", "environment": "production", "rows": [row]}
    fake.documents[f"{base}/history"] = {
        "project": "shop",
        "environment": "production",
        "since": "2026-01-02T03:03:05Z",
        "until": AT,
        "resolution_s": 1,
        "lines": [{"release": RELEASE, "revision": "12" * 8, "points": [point, point]}, idle],
    }
    text = run("traffic", "production").stdout
    head = text.splitlines()[1]
    assert head.split()[:6] == ["RELEASE", "HOST", "WEIGHT", "SHARE", "REQUESTS", "2XX"]
    assert "990" in text and "9.5 ms" in text and "1.00%" in text
    assert "in the last 60 s" in text
    assert "2.0" in text and "50.00%" in text and "7.0 ms" in text
    assert "0" * 12 not in text, "what had no traffic has no row"
    fake.documents[base]["rows"] = []
    del fake.documents[f"{base}/history"]
    assert "has no release" in run("traffic", "production").stdout
