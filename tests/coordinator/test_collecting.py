"""The collector: every host each second, none waits for another, and a dead one is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from tests.monitoring.counting import OLD, SCOPE, Host
from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import NotFound, Unreachable
from turnout.coordinator import collecting
from turnout.coordinator.collecting import Collector
from turnout.monitoring.series import Series
from turnout.monitoring.ticks import SecondOf, Ticks
from turnout.wire.statistics import HostStatistics

pytestmark = pytest.mark.anyio


@pytest.fixture
def series(tmp_path: Path) -> Series:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    return Series(database)


class Hosts:
    """Hosts that answer, hesitate or fail."""

    def __init__(self, *names: str) -> None:
        self.all = {name: Host(name) for name in names}
        self.slow: dict[str, float] = {}
        self.dead: set[str] = set()
        self.asked: dict[str, int] = dict.fromkeys(names, 0)
        self.under_way: dict[str, int] = dict.fromkeys(names, 0)

    def names(self) -> tuple[str, ...]:
        return tuple(self.all)

    async def ask(self, name: str) -> HostStatistics:
        self.asked[name] += 1
        self.under_way[name] += 1
        try:
            assert self.under_way[name] == 1, "asked again while it owes an answer"
            await asyncio.sleep(self.slow.get(name, 0))
            if name in self.dead:
                raise Unreachable("The host does not answer", subject=name)
            return self.all[name].tell(clock.now().timestamp())
        finally:
            self.under_way[name] -= 1


@asynccontextmanager
async def _working(collector: Collector) -> AsyncIterator[None]:
    task = asyncio.create_task(collector.work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _rounds(collector: Collector, hosts: Hosts, count: int, each: Callable[[], None]) -> None:
    for second in range(1000, 1000 + count):
        await collector.round(second)
        each()


def _seconds(series: Series) -> list[SecondOf]:
    from turnout.monitoring.ticks import second_of

    return [second_of(one, SCOPE) for one in series.recent.between(0, 10**10)]


async def test_every_host_is_asked_once_a_round(series: Series) -> None:
    hosts = Hosts("one", "two")
    collector = Collector(hosts.names, hosts.ask, series)
    await _rounds(collector, hosts, 5, lambda: hosts.all["one"].serve(OLD, 7))
    assert hosts.asked == {"one": 5, "two": 5}
    found = _seconds(series)
    assert [second.available for second in found] == [False, True, True, True, True]
    assert [second.arm(OLD).requests for second in found] == [0, 7, 7, 7, 7]


async def test_a_slow_host_delays_nobody_and_loses_nothing(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_WAIT_S", 0.1)
    hosts = Hosts("one", "two")
    collector = Collector(hosts.names, hosts.ask, series)
    await collector.round(1000)
    hosts.slow["two"] = 0.35
    begun = time.monotonic()
    for second in range(1001, 1006):
        hosts.all["two"].serve(OLD, 1)
        await collector.round(second)
    assert time.monotonic() - begun < 1.0
    assert hosts.asked["one"] == 6
    assert hosts.asked["two"] < 4
    found = _seconds(series)[1:]
    assert not found[0].available
    assert found[0].missing == ("two",)
    hosts.slow.clear()
    while any(hosts.under_way.values()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await collector.round(1006)
    await collector.round(1007)
    assert sum(second.arm(OLD).requests for second in _seconds(series)) == 5
    assert _seconds(series)[-1].available


async def test_a_dead_host_is_asked_more_rarely_and_again_when_it_is_back(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(collecting.clock, "monotonic", lambda: now[0])
    hosts = Hosts("one", "two")
    hosts.dead.add("two")
    collector = Collector(hosts.names, hosts.ask, series)

    def later() -> None:
        now[0] += 1

    await _rounds(collector, hosts, 30, later)
    assert hosts.asked["one"] == 30
    assert 4 <= hosts.asked["two"] <= 8
    assert all(second.missing for second in _seconds(series))
    hosts.dead.clear()
    await _rounds(collector, hosts, 10, later)
    assert _seconds(series)[-1].missing == ()


async def test_an_agent_that_cannot_count_yet_is_unavailable_and_named_once(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(collecting.clock, "monotonic", lambda: now[0])
    hosts = Hosts("one", "two")

    async def ask(name: str) -> HostStatistics:
        if name == "two":
            raise NotFound("There is no such path", subject="/wire/v1/statistics")
        return await hosts.ask(name)

    def later() -> None:
        now[0] += 1

    collector = Collector(hosts.names, ask, series)
    with structlog.testing.capture_logs() as lines:
        await _rounds(collector, hosts, 30, later)
    assert all(second.missing for second in _seconds(series))
    assert [(line["event"], line["host"]) for line in lines] == [("collecting.host_silent", "two")]
    assert "version" in lines[0]["why"]


async def test_a_mistake_in_one_answer_stops_nothing(series: Series) -> None:
    hosts = Hosts("one", "two")

    async def ask(name: str) -> HostStatistics:
        if name == "two":
            raise ZeroDivisionError
        return await hosts.ask(name)

    collector = Collector(hosts.names, ask, series)
    await collector.round(1000)
    await collector.round(1001)
    assert _seconds(series)[-1].missing == ("two",)


async def test_a_host_that_is_gone_is_no_longer_missed(series: Series) -> None:
    hosts = Hosts("one", "two")
    collector = Collector(hosts.names, hosts.ask, series)
    await _rounds(collector, hosts, 2, lambda: None)
    del hosts.all["two"]
    await collector.round(1002)
    assert _seconds(series)[-1].available
    assert set(series.latest()) == {"one"}


@pytest.mark.real
async def test_at_work(series: Series) -> None:
    """Seconds end on the clock, what is collected outlives a stop, and it costs next to nothing."""
    hosts = Hosts("one")
    host = hosts.all["one"]
    for index in range(4):
        host.serve(f"{index:016x}", 100)
        host.work(f"{index:016x}", 0, 1.0)
    collector = Collector(hosts.names, hosts.ask, series)
    begun = time.process_time()
    async with _working(collector), asyncio.timeout(20):
        stamps = []
        async for second in Ticks(series).follow(SCOPE, after=0):
            host.serve("0" * 16, 5)
            stamps.append((second.at, time.time()))
            if len(stamps) == 5:
                break
    cost = (time.process_time() - begun) / 5
    assert [at for at, _ in stamps] == list(range(stamps[0][0], stamps[0][0] + 5))
    assert all(seen - at < 0.9 for at, seen in stamps)
    # A share of one processor; the machine may be busy, so this is ten times what is measured.
    assert cost < 0.1
    again = Series(series._keeping._database)
    again.load()
    (revision,) = again.read(SCOPE, stamps[0][0], resolution=1, revision="0" * 16).revisions
    assert revision.total.requests >= 15


async def test_a_database_that_is_away_stops_nothing(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise Unreachable("The database cannot be used")

    monkeypatch.setattr(series, "load", broken)
    monkeypatch.setattr(series, "persist", broken)
    hosts = Hosts("one")
    collector = Collector(hosts.names, hosts.ask, series)
    async with _working(collector), asyncio.timeout(10):
        async for _ in Ticks(series).follow(SCOPE, after=0):
            break
