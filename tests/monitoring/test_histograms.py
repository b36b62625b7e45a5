"""Quantiles lie where the requests do, and sums and differences undo each other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.monitoring.analysis.ticks import BOUNDS_MS
from turnout.monitoring.histograms import (
    LADDER,
    count_of,
    cumulative,
    mean,
    merged,
    quantile,
    risen,
)
from turnout.monitoring.measures import Counts, Usage, pack, unpack

latencies = st.dictionaries(
    st.sampled_from([*LADDER, math.inf]), st.integers(1, 10**9), max_size=8
).map(lambda found: tuple(sorted(found.items())))
counts = st.integers(0, 2**40)


def test_a_quantile_is_linear_within_its_bucket() -> None:
    latency = ((10.0, 50), (100.0, 50))
    assert quantile(latency, 0.5) == 10.0
    assert quantile(latency, 0.25) == 7.5  # the bucket goes from 5 to 10
    assert quantile(latency, 1.0) == 100.0


def test_empty_neighbours_do_not_widen_a_bucket() -> None:
    # All requests took 50 to 100 ms, so the median cannot be below 50.
    assert quantile(((100.0, 10),), 0.5) == 75.0
    assert mean(((100.0, 10),)) == 75.0


def test_beyond_the_last_bound_nothing_is_invented() -> None:
    assert quantile(((10.0, 1), (math.inf, 99)), 0.99) == BOUNDS_MS[-1]
    assert quantile(((60000.0, 1), (LADDER[-1], 0), (math.inf, 99)), 0.99) == BOUNDS_MS[-1]


def test_the_finer_ladder_of_the_judge_is_known_by_its_bounds() -> None:
    bound, below = BOUNDS_MS[20], BOUNDS_MS[19]
    assert quantile(((bound, 10),), 0.5) == pytest.approx((below + bound) / 2)


def test_cumulative_counts() -> None:
    found = cumulative(((1.0, 2), (5.0, 3), (math.inf, 4)))
    assert [bound for bound, _ in found] == list(LADDER)
    assert [count for _, count in found][:5] == [0, 2, 5, 5, 5]
    assert cumulative(()) == ()


def test_cumulative_counts_have_every_bound_that_a_line_may_be_drawn_at() -> None:
    found = dict(cumulative(((BOUNDS_MS[20], 7),)))
    assert list(found) == list(BOUNDS_MS)
    assert found[BOUNDS_MS[19]] == 0
    assert found[BOUNDS_MS[22]] == 7


def test_of_nothing_there_is_no_quantile() -> None:
    assert (quantile((), 0.5), mean(())) == (None, None)


@given(latencies, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_counted(latency: object, a: float, b: float) -> None:
    assert isinstance(latency, tuple)
    low, high = sorted((a, b))
    first, last = quantile(latency, low), quantile(latency, high)
    if not latency:
        assert first is None
        return
    assert first is not None
    assert last is not None
    assert 0 <= first <= last <= max(bound for bound, _ in latency)


@given(latencies, latencies)
def test_what_was_added_can_be_taken_off_again(a: object, b: object) -> None:
    assert isinstance(a, tuple)
    assert isinstance(b, tuple)
    assert risen(merged([a, b]), a) == (b, True)
    assert count_of(merged([a, b])) == count_of(a) + count_of(b)


def test_a_bucket_that_fell_means_a_new_beginning() -> None:
    assert risen(((10.0, 3),), ((10.0, 5),)) == (((10.0, 3),), False)
    assert risen((), ((10.0, 5),)) == ((), False)


@given(st.integers(0, 10**7), counts, st.tuples(counts, counts, counts, counts), counts, latencies)
def test_counts_come_back_as_they_went(
    ms: int, requests: int, classes: tuple[int, int, int, int], more: int, latency: object
) -> None:
    assert isinstance(latency, tuple)
    measure = Counts(ms / 1000, requests, classes, more, more, more, latency)
    assert unpack(pack(measure)) == measure


@given(st.integers(0, 10**7), st.integers(0, 10**12), counts, counts)
def test_usage_comes_back_as_it_went(ms: int, us: int, memory: int, other: int) -> None:
    measure = Usage(ms / 1000, us / 1_000_000, memory, other, other)
    assert unpack(pack(measure)) == measure


@pytest.mark.parametrize("data", [b"", b"\x07", b"\x01\x01", pack(Counts())[:-1] + b"\x80"])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(data)


def test_a_second_takes_few_bytes() -> None:
    latency = tuple((bound, 100) for bound in LADDER[:8])
    assert len(pack(Counts(1.0, 800, (780, 10, 5, 5), 0, 12, 50, latency))) < 48
