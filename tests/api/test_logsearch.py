"""Log search: pages meet without gap or repetition, and errors are told once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from tests.fakes.house import FakeHouse
from turnout.monitoring.logsearch import Hit
from turnout.wire.agent import LogLine

AT = 1_700_000_000.123456


def hit(number: int, at: float, text: str = "") -> Hit:
    line = LogLine(
        at=at,
        scope="shop/production",
        revision="12" * 8,
        index=1,
        stream="err",
        text=text or f"line {number}",
    )
    return Hit("local", "ab" * 32, line, "error")


def test_every_condition_reaches_the_search(client: TestClient, house: FakeHouse) -> None:
    answer = client.get(
        "/api/v1/logs",
        params={
            "project": "shop", "environment": "production", "release": "ab" * 4,
            "host": "local", "instance": 1, "level": "warning", "text": "No Way",
            "pattern": "a+", "since": "2026-11-20T14:00:00+01:00", "until": "2026-11-20T14:00:00",
            "limit": 7,
        },
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "items": [],
        "next_cursor": None,
        "complete": True,
        "scanned": 0,
        "silent": [],
    }
    (query,) = house.coordinator.queries
    assert (query.scope, query.release, query.host) == ("shop/production", "ab" * 4, "local")
    assert (query.index, query.level, query.text, query.pattern) == (1, "warning", "No Way", "a+")
    noon = datetime(2026, 11, 20, 13, tzinfo=UTC).timestamp()
    assert (query.since, query.until) == (noon, noon + 3600), "UTC where no offset is given"
    client.get("/api/v1/logs?project=shop")
    assert house.coordinator.queries[-1].scope == "shop/"


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 200])
def test_pages_meet(client: TestClient, house: FakeHouse, limit: int) -> None:
    # Many lines of one moment, as a stack has them, stand on both sides of a cut.
    moments = [AT, AT, AT, AT + 1, AT + 1, AT + 2, AT + 2, AT + 2, AT + 2, AT + 3]
    house.coordinator.hits = [hit(number, at) for number, at in enumerate(moments)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(len(moments) + 1):
        params = {"limit": str(limit), **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/v1/logs", params=params).json()
        seen += [item["text"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"line {number}" for number in reversed(range(len(moments)))]


def test_a_line_says_where_it_comes_from(client: TestClient, house: FakeHouse) -> None:
    house.coordinator.hits = [hit(0, AT)]
    (item,) = client.get("/api/v1/logs").json()["items"]
    assert item.pop("at").startswith("2023-11-14T22:13:20.123456")
    assert item == {
        "host": "local",
        "scope": "shop/production",
        "release": "ab" * 32,
        "revision": "12" * 8,
        "instance": 1,
        "stream": "err",
        "level": "error",
        "text": "line 0",
    }


def test_errors_are_grouped(client: TestClient, house: FakeHouse) -> None:
    house.coordinator.hits = [
        hit(number, AT + number, f"ERROR cannot open order {number}") for number in range(3)
    ]
    (item,) = client.get("/api/v1/logs/errors").json()["items"]
    assert item["count"] == 3 and item["hosts"] == {"local": 3}
    assert item["first_at"] < item["last_at"]
    assert item["example"] == "ERROR cannot open order 2"


@pytest.mark.parametrize(
    "query",
    [
        "environment=production",
        "level=loud",
        "release=xyz",
        "instance=-1",
        "instance=x",
        "since=soon",
        "since=0001-01-01T00:00:00Z",
        "until=9999-12-31T23:59:59-23:00",
        "text=",
        "text=%00",
        "text=" + "x" * 501,
        "limit=0",
        "limit=201",
        "cursor=nonsense",
        "cursor=bGluZSAxIDk5OTk5OQ",
        "levl=error",
    ],
)
def test_wrong_searches(client: TestClient, house: FakeHouse, query: str) -> None:
    answer = client.get(f"/api/v1/logs?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["next_step"]
    assert not house.coordinator.queries


def test_nobody_searches_without_a_token(house: FakeHouse) -> None:
    for path in ("/api/v1/logs", "/api/v1/logs/errors"):
        assert house.client(token=False).get(path).status_code == 401
