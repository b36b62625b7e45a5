"""The series keep what hosts counted: at every resolution, over a restart, and no longer."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.monitoring.counting import NEW, OLD, RELEASE, SCOPE, Host
from turnout.base.database import Database
from turnout.base.errors import Failed
from turnout.monitoring.keeping import RETENTION
from turnout.monitoring.series import Series
from turnout.monitoring.tables import series_points, series_rolled, series_sources

START = 1_700_000_000 // 3600 * 3600


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def series(database: Database, time: Time) -> Series:
    made = Series(database, time)
    made.load()
    return made


def _run(
    series: Series, time: Time, hosts: list[Host], seconds: int, each: Callable[[int], None]
) -> None:
    """Let seconds pass: each one happens, is told, closed, and now and then kept."""
    for number in range(seconds):
        each(number)
        at = math.floor(time.now)
        for host in hosts:
            series.note(host.tell(at + 0.9))
        series.close(at, [host.name for host in hosts])
        time.now += 1
        if number % 5 == 4:
            series.persist()
    series.persist()


def _rows(database: Database) -> dict[int, int]:
    query = sa.select(series_points.c.resolution, sa.func.count()).group_by("resolution")
    with database.reading() as connection:
        return dict(connection.execute(query).all())


def test_every_request_is_there_at_every_resolution(
    series: Series, time: Time, database: Database
) -> None:
    one, two = Host("one"), Host("two")

    def each(number: int) -> None:
        one.serve(OLD, 10, errors=number % 2, ms=5.0)
        two.serve(OLD, 5, ms=100.0)
        two.serve(NEW, 1)

    _run(series, time, [one, two], 1, lambda _n: None)
    _run(series, time, [one, two], 200, each)
    for resolution in (1, 10, 60, 3600):
        found = series.read(SCOPE, START, resolution=resolution)
        assert found.resolution == resolution
        old, new = found.revisions
        assert (old.revision, old.release) == (OLD, RELEASE)
        assert old.total.requests == 3000
        assert old.total.classes == (2900, 0, 0, 100)
        assert old.total.latency == ((5.0, 2000), (100.0, 1000))
        assert new.total.requests == 200
        assert len(old.points) == (200 if resolution == 1 else math.ceil(201 / resolution))
    point = series.read(SCOPE, START + 60, START + 120, 60).revisions[0].points[0]
    assert point.rate == pytest.approx(15)
    assert point.error_rate == pytest.approx(30 / 900)
    assert point.latency_ms["p50"] == pytest.approx(4.0)
    assert point.latency_ms["p99"] is not None
    assert point.latency_ms["p99"] > 95
    # The part that is not summed up yet is read from the finer points.
    assert set(_rows(database)) == {1, 10, 60}


def test_an_idle_revision_is_not_written(series: Series, time: Time, database: Database) -> None:
    host = Host()
    host.serve(OLD, 10)
    host.work(OLD, 0, 100.0, memory=10_000)
    _run(series, time, [host], 1, lambda _n: None)

    def idle(_number: int) -> None:
        host.work(OLD, 0, 0.001, memory=10_050)

    _run(series, time, [host], 30, idle)
    before = _rows(database)
    written: list[int] = []
    database.on_commit(lambda: written.append(1))
    _run(series, time, [host], 240, idle)
    assert _rows(database)[1] == before[1]
    # The sums of what was noted at the start, nothing else.
    assert len(written) <= 3


def test_a_restarted_server_goes_on_with_what_it_had(
    series: Series, time: Time, database: Database
) -> None:
    host = Host()
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 97, lambda _n: host.serve(OLD, 10))
    time.now += 30
    again = Series(database, time)
    again.load()
    assert again.read(SCOPE, START, resolution=1).revisions[0].total.requests == 970
    # What it counted while nobody looked is not put into one second.
    host.serve(OLD, 1000)
    _run(again, time, [host], 1, lambda _n: None)
    _run(again, time, [host], 60, lambda _n: host.serve(OLD, 10))
    for resolution in (1, 10, 60):
        read = again.read(SCOPE, START, resolution=resolution)
        assert read.revisions[0].total.requests == 970 + 600


def test_sums_that_a_crash_left_out_are_made_later(time: Time, database: Database) -> None:
    first = Series(database, time)
    first.load()
    host = Host()
    _run(first, time, [host], 1, lambda _n: None)
    _run(first, time, [host], 54, lambda _n: host.serve(OLD, 10))
    time.now += 7200
    second = Series(database, time)
    second.load()
    _run(second, time, [host], 5, lambda _n: None)
    assert second.read(SCOPE, START, START + 3600, 3600).revisions[0].total.requests == 540
    assert _rows(database)[3600] == 1


def test_what_has_been_kept_long_enough_goes(
    series: Series, time: Time, database: Database
) -> None:
    host = Host()
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 3700, lambda _n: host.serve(OLD, 1))
    series._keeping.prune(math.floor(time.now))
    assert _rows(database)[1] <= RETENTION[1] + 1
    time.now += RETENTION[60] + 3600
    _run(series, time, [host], 5, lambda _n: None)
    series._keeping.prune(math.floor(time.now))
    assert set(_rows(database)) == {3600}
    found = series.read(SCOPE, START)
    assert found.resolution == 3600
    assert found.revisions[0].total.requests == 3700
    series._keeping.prune(math.floor(time.now) + RETENTION[3600] + 7200)
    with database.reading() as connection:
        assert not connection.execute(series_sources.select()).all()


def test_a_source_that_was_pruned_can_come_back(series: Series, time: Time) -> None:
    host = Host()
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 5, lambda _n: host.serve(OLD, 1))
    time.now += 2 * RETENTION[3600]
    series._keeping.prune(math.floor(time.now))
    begin = time.now
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 5, lambda _n: host.serve(OLD, 1))
    assert series.read(SCOPE, begin).revisions[0].total.requests == 5


def test_a_missed_second_is_marked_and_loses_nothing(series: Series, time: Time) -> None:
    host = Host()
    series.note(host.tell(START + 0.5))
    series.close(START, ["one"])
    host.serve(OLD, 10)
    series.close(START + 1, ["one"])
    host.serve(OLD, 10)
    series.note(host.tell(START + 2.5))
    series.close(START + 2, ["one"])
    time.now = START + 3
    found = series.read(SCOPE, START, resolution=1)
    assert found.missed == (START, START + 1)  # the first look counts nothing
    (point,) = found.revisions[0].points
    assert (point.at, point.counts.requests, point.counts.seconds) == (START + 2, 20, 2.0)
    assert point.rate == 10.0


def test_instances_have_lines_of_their_own(series: Series, time: Time) -> None:
    host = Host()
    host.work(OLD, 0, 50.0)
    host.serve(OLD, 1)
    _run(series, time, [host], 2, lambda _n: None)
    _run(series, time, [host], 20, lambda n: host.work(OLD, 0, 0.5, memory=5000 + 1000 * n))
    (line,) = series.read(SCOPE, START, resolution=10).revisions[0].instances
    assert (line.host, line.index) == ("one", 0)
    assert line.points[1].usage.cpu_percent == pytest.approx(50)
    assert max(point.usage.memory_bytes for point in line.points) == 24_000


def test_scopes_and_revisions_are_apart(series: Series, time: Time) -> None:
    host = Host()

    def each(_number: int) -> None:
        host.serve(OLD, 1)
        host.serve(NEW, 2, scope="blog/production")

    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 70, each)
    for resolution in (1, 60):
        (blog,) = series.read("blog/production", START, resolution=resolution).revisions
        assert (blog.revision, blog.total.requests) == (NEW, 140)
        assert not series.read(SCOPE, START, resolution=resolution, revision=NEW).revisions


def test_a_database_that_fails_loses_nothing(
    series: Series, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host()
    _run(series, time, [host], 1, lambda _n: None)

    def broken(*_args: object) -> None:
        raise Failed("The database cannot be used")

    with monkeypatch.context() as patched:
        patched.setattr(series._keeping, "write", broken)
        with pytest.raises(Failed):
            _run(series, time, [host], 9, lambda _n: host.serve(OLD, 1))
    _run(series, time, [host], 6, lambda _n: host.serve(OLD, 1))
    again = Series(series._keeping._database, time)
    again.load()
    assert again.read(SCOPE, START, resolution=1).revisions[0].total.requests == 11


def test_a_clock_that_is_set_back_stops_nothing(series: Series, time: Time) -> None:
    host = Host()
    time.now += 3000
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 20, lambda _n: host.serve(OLD, 1))
    time.now = START + 100.0
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 20, lambda _n: host.serve(OLD, 1))
    found = series.read(SCOPE, START + 100, time.now, resolution=1)
    assert found.revisions[0].total.requests == 20


def test_marks_are_kept(series: Series, time: Time, database: Database) -> None:
    host = Host()
    _run(series, time, [host], 1, lambda _n: None)
    _run(series, time, [host], 69, lambda _n: host.serve(OLD, 1))
    with database.reading() as connection:
        marks = dict(connection.execute(series_rolled.select()).all())
    assert marks == {10: START + 70, 60: START + 60, 3600: START}
