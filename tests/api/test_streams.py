"""Event streams resume without a gap, end when there is no more, and end when the server stops."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.api.requests import deploy_request
from tests.fakes.house import FakeHouse, served
from turnout.base import clock
from turnout.wire import sse
from turnout.wire.api import LogEntry


def events_in(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Parse a stream as its specification says."""
    event: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in event:
                yield event
            event = {}
            continue
        name, _, value = line.partition(": ")
        if name == "data" and "data" in event:
            value = f"{event['data']}\n{value}"
        event[name] = value


def numbers(client: httpx2.Client, path: str, count: int, **headers: str) -> list[int]:
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = []
        for event in events_in(answer.iter_lines()):
            found.append(int(event["id"]))
            assert json.loads(event["data"])["seq"] == found[-1]
            if len(found) == count:
                break
        return found


def test_a_deployments_stream_goes_from_its_first_event_to_its_last(house: FakeHouse) -> None:
    with served(house) as client:
        made = client.post("/api/v1/deployments", json=deploy_request()).json()
        other = client.post("/api/v1/deployments", json=deploy_request()).json()
        path = f"/api/v1/deployments/{made['id']}/events"
        kinds: list[str] = []
        arrived = threading.Event()

        def read() -> None:
            with client.stream("GET", path) as answer:
                for event in events_in(answer.iter_lines()):
                    kinds.append(event["event"])
                    arrived.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert arrived.wait(5)
        house.coordinator.tell("step.done", made["id"], step="x")
        house.coordinator.tell("step.done", other["id"])
        house.coordinator.finish(made["id"])
        reader.join(5)
        assert not reader.is_alive()
        assert kinds == ["deployment.started", "step.done", "deployment.finished"]
        # Ended: the whole of it again, or nothing more, but never a wait.
        seqs = numbers(client, path, 99)
        assert len(seqs) == 3
        assert numbers(client, path + f"?after={seqs[0]}", 99) == seqs[1:]
        assert numbers(client, path + f"?after={seqs[-1]}", 99) == []
        last = client.get(path, headers={"Last-Event-ID": str(seqs[-1])})
        assert last.status_code == 204


def test_a_cut_stream_resumes_without_a_gap_under_concurrent_writers(house: FakeHouse) -> None:
    total, writers = 400, 4
    with served(house) as client:
        first = house.events.last_seq()

        def write() -> None:
            for number in range(total // writers):
                house.coordinator.tell("step.done", number=number)

        threads = [threading.Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        seen: list[int] = []
        while len(seen) < total:
            # Cut again and again, at another place each time.
            wanted = min(37, total - len(seen))
            last = str(seen[-1] if seen else first)
            seen += numbers(client, "/api/v1/events", wanted, **{"Last-Event-ID": last})
        for thread in threads:
            thread.join()
        assert seen == list(range(first + 1, first + total + 1))


def test_the_overall_stream_starts_now_unless_asked(house: FakeHouse) -> None:
    house.coordinator.tell("before")
    with served(house) as client:
        with client.stream("GET", "/api/v1/events") as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("retry:")
            house.coordinator.tell("after")
            assert next(events_in(lines))["event"] == "after"
        assert numbers(client, "/api/v1/events?after=0", 2) == [1, 2]
        # The header goes before the address, which a browser repeats unchanged.
        assert numbers(client, "/api/v1/events?after=0", 1, **{"Last-Event-ID": "1"}) == [2]


def test_json_pages(client: TestClient, house: FakeHouse) -> None:
    for number in range(5):
        house.coordinator.tell("kind", number=number)
    headers = {"Accept": "application/json"}
    page = client.get("/api/v1/events?limit=2", headers=headers).json()
    assert [item["seq"] for item in page["items"]] == [1, 2]
    page = client.get(f"/api/v1/events?after={page['next_cursor']}", headers=headers).json()
    assert [item["seq"] for item in page["items"]] == [3, 4, 5]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 40, "٣"])
def test_a_wrong_last_event_id_is_422(client: TestClient, last: str) -> None:
    answer = client.get("/api/v1/events", headers={"Last-Event-ID": last.encode()})
    assert answer.status_code == 422


def test_logs_as_page_and_as_stream(house: FakeHouse) -> None:
    house.coordinator.lines = [
        LogEntry(at=clock.now(), host="local", source="app", text=f"line {n}\u2028 still")
        for n in range(3)
    ]
    with served(house) as client:
        made = client.post("/api/v1/deployments", json=deploy_request()).json()
        path = f"/api/v1/deployments/{made['id']}/logs"
        page = client.get(path, params={"tail": 2}).json()
        assert [item["text"][:6] for item in page["items"]] == ["line 1", "line 2"]
        with client.stream("GET", path, params={"follow": "true", "tail": 2}) as answer:
            got: list[dict[str, Any]] = []
            for event in events_in(answer.iter_lines()):
                if event["event"] == "end":
                    break
                got.append(json.loads(event["data"]))
                if len(got) == 3:
                    house.coordinator.finish(made["id"])
        assert [item["text"][:6] for item in got] == ["line 1", "line 2", "line 0", "the la"]


def test_the_server_stops_in_time_with_streams_open(house: FakeHouse) -> None:
    opened, ended = threading.Event(), threading.Event()
    with served(house) as client:

        def read(base: str) -> None:
            with (
                httpx2.Client(base_url=base, headers=house.authorization, trust_env=False) as own,
                own.stream("GET", "/api/v1/events") as answer,
            ):
                for _ in answer.iter_lines():
                    opened.set()
                ended.set()

        reader = threading.Thread(target=read, args=(str(client.base_url),))
        reader.start()
        assert opened.wait(5)
        started = time.monotonic()
    assert time.monotonic() - started < 3
    # The stream was ended properly, not cut.
    assert ended.wait(1)
    reader.join(5)


def test_frames_keep_every_character() -> None:
    text = 'a\u2028b\x85c\x0b\r\n"d"\re'
    lines = sse.frame(text, kind="k", seq=7).decode().split("\n")
    event = next(events_in(iter([*lines])))
    assert event["id"] == "7" and event["event"] == "k"
    assert event["data"] == text.replace("\r\n", "\n").replace("\r", "\n")
