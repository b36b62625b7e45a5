"""Searching logs of many places: the newest first, bounded, and honest about what it left out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from turnout.base.errors import InvalidInput, Unreachable
from turnout.monitoring import logsearch
from turnout.monitoring.logsearch import Found, Place, Query, errors, search
from turnout.wire.agent import LogLine, LogPage, LogsWanted

pytestmark = pytest.mark.anyio
SHOP, OLD = "shop/production", "a" * 16


@dataclass
class Logs:
    """Hosts' logs, paged as the agents page them."""

    lines: dict[tuple[str, str], list[LogLine]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    page_lines: int = 100
    asked: int = 0
    hang: bool = False

    def write(self, place: Place, *texts: str, at: float = 0.0, index: int = 0) -> None:
        of = self.lines.setdefault((place.host, place.revision), [])
        of += [
            LogLine(
                at=at + n, scope=place.scope, revision=place.revision, index=index,
                stream="out", text=text,
            )
            for n, text in enumerate(texts)
        ]  # fmt: skip

    async def read(self, place: Place, wanted: LogsWanted) -> LogPage:
        self.asked += 1
        if place.host in self.silent:
            raise Unreachable("The host does not answer", subject=place.host)
        if self.hang:
            await asyncio.sleep(60)
        lines = self.lines.get((place.host, place.revision), [])
        if not wanted.cursor:
            return LogPage(lines=tuple(lines[-wanted.tail :]), cursor=f"0.0.{len(lines)}")
        begin = int(wanted.cursor.rpartition(".")[2])
        page = lines[begin : begin + self.page_lines]
        return LogPage(lines=tuple(page), cursor=f"0.0.{begin + len(page)}")


PLACE = Place("one", SHOP, OLD, "f" * 64)
OTHER = Place("two", SHOP, "b" * 16, "e" * 64)
BLOG = Place("one", "blog/staging", "c" * 16, "d" * 64)


@pytest.fixture
def logs() -> Logs:
    made = Logs()
    made.write(PLACE, "INFO begin", "WARN slow", "ERROR boom 1", at=10)
    made.write(OTHER, "ERROR boom 2", "all is Boom", at=11)
    made.write(BLOG, "ERROR boom 3", at=12)
    return made


def _texts(found: Found) -> list[str]:
    return [hit.line.text for hit in found.hits]


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        (Query(), ["INFO begin", "WARN slow", "ERROR boom 2", "ERROR boom 1", "all is Boom",
                   "ERROR boom 3"]),
        (Query(scope=SHOP, text="BOOM"), ["ERROR boom 2", "ERROR boom 1", "all is Boom"]),
        (Query(scope="blog/"), ["ERROR boom 3"]),
        (Query(release="eeee"), ["ERROR boom 2", "all is Boom"]),
        (Query(revision=OLD, level="warning"), ["WARN slow", "ERROR boom 1"]),
        (Query(host="two", level="error"), ["ERROR boom 2"]),
        (Query(pattern=r"boom \d$"), ["ERROR boom 2", "ERROR boom 1", "ERROR boom 3"]),
        (Query(since=11.5, until=12.5, scope=SHOP), ["ERROR boom 1", "all is Boom"]),
        (Query(limit=2), ["all is Boom", "ERROR boom 3"]),
        (Query(index=3), []),
    ],
)  # fmt: skip
async def test_what_is_asked_for(logs: Logs, query: Query, texts: list[str]) -> None:
    found = await search([PLACE, OTHER, BLOG], query, logs.read)
    assert sorted(_texts(found)) == sorted(texts)
    assert [hit.line.at for hit in found.hits] == sorted(hit.line.at for hit in found.hits)
    assert found.complete == (query.limit == 200)


async def test_older_lines_are_read_when_the_newest_do_not_hold_enough(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logsearch, "_TAIL", 50)
    place = Place("three", SHOP, OLD)
    logs.write(place, "needle 1", *["hay"] * 400, "needle 2", *["hay"] * 300, "needle 3")
    found = await search([place], Query(text="needle", limit=10), logs.read)
    assert (_texts(found), found.complete) == (["needle 1", "needle 2", "needle 3"], True)
    logs.asked = 0
    found = await search([place], Query(text="needle", limit=1), logs.read)
    assert (_texts(found), found.complete, logs.asked) == (["needle 3"], False, 1)
    found = await search([place], Query(text="needle", since=660.0), logs.read)
    assert (_texts(found), found.complete) == (["needle 3"], True)


async def test_what_is_too_much_is_left_out_and_said(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logsearch, "_TAIL", 50)
    monkeypatch.setattr(logsearch, "_MOST_SCANNED", 300)
    place = Place("three", SHOP, OLD)
    logs.write(place, *["hay"] * 5000, "needle")
    found = await search([place], Query(text="needle"), logs.read)
    assert (_texts(found), found.complete) == (["needle"], False)
    assert found.scanned <= 400


async def test_a_silent_host_is_named(logs: Logs) -> None:
    logs.silent.add("two")
    found = await search([PLACE, OTHER], Query(text="boom"), logs.read)
    assert (_texts(found), found.complete, found.silent) == (["ERROR boom 1"], False, ("two",))


async def test_a_host_that_hangs_ends_with_the_time(logs: Logs) -> None:
    logs.hang = True
    begun = time.monotonic()
    found = await search([PLACE], Query(), logs.read, deadline=0.2)
    assert (found.hits, found.complete) == ((), False)
    assert time.monotonic() - begun < 2


async def test_errors_of_all_hosts_by_fingerprint(logs: Logs) -> None:
    groups, found = await errors([PLACE, OTHER, BLOG], Query(scope=SHOP), logs.read)
    (group,) = groups
    assert (group.title, group.count, group.hosts) == ("ERROR boom <n>", 2, {"one": 1, "two": 1})
    assert (group.first_at, group.last_at, found.complete) == (11.0, 12.0, True)
    groups, _ = await errors([PLACE, OTHER, BLOG], Query(text="nothing"), logs.read)
    assert groups == ()


async def test_what_is_no_level_and_no_pattern() -> None:
    with pytest.raises(InvalidInput, match="no such level"):
        Query(level="loud")
    with pytest.raises(InvalidInput, match="no pattern"):
        await search([PLACE], Query(pattern="("), Logs().read)


async def test_long_lines_fill_no_memory(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logsearch, "_TAIL", 10)
    monkeypatch.setattr(logsearch, "_MOST_CHARS", 100_000)
    place = Place("three", SHOP, "9" * 16)
    logs.page_lines = 10
    logs.write(place, *("ERROR " + "x" * 1000 for _ in range(1000)))
    _, found = await errors([place], Query(), logs.read)
    assert not found.complete
    assert 100 <= found.scanned <= 200
