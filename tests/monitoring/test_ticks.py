"""The judge's door: every second once, summed over hosts, and a silent host is not a zero."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.monitoring.counting import NEW, OLD, SCOPE, Host
from turnout.base.database import Database
from turnout.monitoring.analysis.ticks import ArmCounts, Tick
from turnout.monitoring.histograms import cumulative
from turnout.monitoring.series import Series
from turnout.monitoring.ticks import Arm, SecondOf, Ticks

pytestmark = pytest.mark.anyio


@pytest.fixture
def series(tmp_path: Path) -> Series:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.migrate()
    made = Series(database, lambda: 100.0)
    made.load()
    return made


def _second(series: Series, at: int, *hosts: Host, asked: tuple[str, ...] = ("one", "two")) -> None:
    for host in hosts:
        series.note(host.tell(at + 0.5))
    series.close(at, asked)


async def _next(ticks: object) -> SecondOf:
    async with asyncio.timeout(5):
        return await anext(ticks)  # type: ignore[call-overload,no-any-return]


async def test_hosts_are_summed_and_each_second_comes_once(series: Series) -> None:
    one, two = Host("one"), Host("two")
    _second(series, 100, one, two)
    ticks = Ticks(series).follow(SCOPE)
    waiting = asyncio.create_task(_next(ticks))
    await asyncio.sleep(0)
    one.serve(OLD, 10, errors=1, ms=5.0)
    two.serve(OLD, 20, ms=5.0)
    two.serve(NEW, 3, ms=50.0)
    _second(series, 101, one, two)
    found = await waiting
    assert found == SecondOf(
        101,
        True,
        1.0,
        {OLD: Arm(30, 1, ((5.0, 30),)), NEW: Arm(3, 0, ((50.0, 3),))},
    )
    _second(series, 102, one, two)
    _second(series, 103, one, two)
    assert [(await _next(ticks)).at, (await _next(ticks)).at] == [102, 103]
    assert found.arm("c" * 16) == Arm()


async def test_a_silent_host_makes_a_second_unavailable_and_loses_nothing(series: Series) -> None:
    one, two = Host("one"), Host("two")
    _second(series, 100, one, two)
    ticks = Ticks(series).follow(SCOPE, after=100)
    one.serve(OLD, 10)
    two.serve(OLD, 10)
    _second(series, 101, one)
    one.serve(OLD, 10)
    two.serve(OLD, 10)
    _second(series, 102, one, two)
    first, second = await _next(ticks), await _next(ticks)
    assert (first.available, first.missing, first.arm(OLD).requests) == (False, ("two",), 10)
    assert (second.available, second.seconds, second.arm(OLD).requests) == (True, 2.0, 30)


async def test_a_first_look_knows_nothing_of_its_second(series: Series) -> None:
    one = Host("one")
    ticks = Ticks(series).follow(SCOPE)
    waiting = asyncio.create_task(_next(ticks))
    await asyncio.sleep(0)
    _second(series, 100, one, asked=("one",))
    assert not (await waiting).available


async def test_no_traffic_is_not_a_silence(series: Series) -> None:
    one = Host("one")
    _second(series, 100, one, asked=("one",))
    _second(series, 101, one, asked=("one",))
    found = await _next(Ticks(series).follow(SCOPE, after=100))
    assert (found.available, found.arms) == (True, {})


async def test_only_the_hosts_that_serve_the_scope_matter(series: Series) -> None:
    one = Host("one")
    _second(series, 100, one)
    one.serve(OLD, 1)
    _second(series, 101, one)
    assert (await _next(Ticks(series).follow(SCOPE, ("one",), after=100))).available
    assert not (await _next(Ticks(series).follow(SCOPE, ("three",), after=100))).available


async def test_who_comes_back_goes_on_behind_the_second_he_had(series: Series) -> None:
    one = Host("one")
    for at in range(100, 110):
        one.serve(OLD, 1)
        _second(series, at, one, asked=("one",))
    ticks = Ticks(series).follow(SCOPE, after=105)
    assert [(await _next(ticks)).at for _ in range(4)] == [106, 107, 108, 109]


async def test_an_answer_of_the_router_itself_is_one_error(series: Series) -> None:
    one = Host("one")
    one.serve(OLD, 1)
    _second(series, 100, one)
    one.serve(OLD, 10, errors=4)
    known = one.counters[OLD]
    one.counters[OLD] = known.model_copy(update={"failures": 4})
    _second(series, 101, one)
    assert (await _next(Ticks(series).follow(SCOPE, after=100))).arm(OLD).errors == 4


async def test_a_second_as_the_judge_takes_it(series: Series) -> None:
    one = Host("one")
    one.serve(OLD, 1)
    _second(series, 100, one, asked=("one",))
    one.serve(OLD, 10, errors=1, ms=5.0)
    one.serve(OLD, 10, ms=50.0)
    _second(series, 101, one, asked=("one",))
    found = (await _next(Ticks(series).follow(SCOPE, after=100))).tick(NEW, OLD, share=0.5)
    assert found == Tick(
        at=102.0,
        candidate=ArmCounts(),
        control=ArmCounts(20, 1, 20, cumulative(((5.0, 10), (50.0, 10)))),
        share=0.5,
    )


async def test_who_leaves_is_forgotten(series: Series) -> None:
    _second(series, 100)
    ticks = Ticks(series).follow(SCOPE, after=99)
    await _next(ticks)
    await ticks.aclose()  # type: ignore[attr-defined]
    assert series._bells == set()
