"""Counters become counts: restarts, first looks, new revisions and clocks included."""

from __future__ import annotations

from tests.monitoring.counting import NEW, OLD, RELEASE, SCOPE, Host
from turnout.monitoring.differences import Source, between
from turnout.monitoring.measures import Counts, Usage
from turnout.wire.statistics import HostStatistics


def _counts(before: HostStatistics | None, now: HostStatistics, revision: str = OLD) -> Counts:
    return between(before, now).counts[Source(SCOPE, revision, now.host)]


def _usage(before: HostStatistics | None, now: HostStatistics) -> Usage:
    return between(before, now).usage[Source(SCOPE, OLD, now.host, 0)]


def test_the_first_look_counts_nothing() -> None:
    host = Host()
    host.serve(OLD, 1000)
    assert between(None, host.tell(100)).seconds == 0
    assert not between(None, host.tell(100)).counts


def test_what_came_since_the_last_look() -> None:
    host = Host()
    host.serve(OLD, 1000, errors=10)
    before = host.tell(100)
    host.serve(OLD, 20, errors=3, ms=50.0, in_flight=7)
    assert _counts(before, host.tell(101.5)) == Counts(
        seconds=1.5,
        requests=20,
        classes=(17, 0, 0, 3),
        in_flight=7,
        weight=50,
        latency=((50.0, 20),),
    )


def test_a_restarted_router_counts_from_zero() -> None:
    host = Host()
    host.serve(OLD, 1000)
    before = host.tell(100)
    host.restart_router()
    # More than before, so only its start tells.
    host.serve(OLD, 1500, errors=2)
    found = _counts(before, host.tell(101))
    assert (found.requests, found.errors, found.latency) == (1500, 2, ((10.0, 1500),))


def test_a_counter_that_fell_counts_from_zero() -> None:
    host = Host()
    host.serve(OLD, 1000)
    before = host.tell(100)
    del host.counters[OLD]
    host.serve(OLD, 5)
    assert _counts(before, host.tell(101)).requests == 5


def test_a_revision_that_is_new_is_new_as_a_whole() -> None:
    host = Host()
    host.serve(OLD, 1000)
    before = host.tell(100)
    host.serve(NEW, 4)
    assert _counts(before, host.tell(101), NEW).requests == 4


def test_a_clock_that_was_set_back_counts_nothing() -> None:
    host = Host()
    assert between(host.tell(100), host.tell(99)).seconds == 0


def test_the_release_does_not_make_another_source() -> None:
    assert Source(SCOPE, OLD, "one", 0, RELEASE) == Source(SCOPE, OLD, "one", 0)


def test_an_instance_uses_what_it_used_since() -> None:
    host = Host()
    host.work(OLD, 0, 10.0)
    before = host.tell(100)
    host.work(OLD, 0, 0.5, memory=2000, files=9)
    found = _usage(before, host.tell(102))
    assert found == Usage(2.0, 0.5, 2000, 9, 0)
    assert found.cpu_percent == 25.0


def test_a_restarted_instance_starts_from_zero() -> None:
    host = Host()
    host.work(OLD, 0, 10.0)
    before = host.tell(100)
    known = host.instances[OLD, 0]
    host.instances[OLD, 0] = known.model_copy(
        update={"cpu_s": 0.25, "restarts": 1, "started_at": 100.5}
    )
    found = _usage(before, host.tell(101))
    assert (found.cpu_s, found.restarts) == (0.25, 1)


def test_an_old_instance_seen_for_the_first_time_has_no_past() -> None:
    host = Host()
    before = host.tell(100)
    host.work(OLD, 0, 500.0)
    assert _usage(before, host.tell(101)).cpu_s == 0.0
