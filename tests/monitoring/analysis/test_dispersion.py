"""The guard of *bad*: what it lets through, what it holds back, and what it never does."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.analysis.analysed import ERRORS, PLAIN, bad_at, minutes, poisson
from turnout.monitoring.analysis import counts, dispersion, settings
from turnout.monitoring.analysis.guard import Block, Blocks

BLOCKS = st.lists(
    st.builds(
        Block,
        st.tuples(st.integers(0, 1000), st.integers(0, 60)),
        st.tuples(st.integers(0, 1000), st.integers(0, 60)),
    ),
    max_size=30,
)
CALM = (3, 3)


@given(
    blocks=BLOCKS,
    plain=st.floats(-50, 500),
    latency=st.booleans(),
    allowed=st.floats(1, 5),
)
def test_it_only_ever_takes_away(
    blocks: list[Block], plain: float, latency: bool, allowed: float
) -> None:
    kept = Blocks(closed=tuple(blocks[:-1]), open=blocks[-1] if blocks else Block())
    age = 60.0 * max(1, len(blocks))
    found = dispersion.guarded(plain, kept, age, latency=latency, allowed=allowed)
    assert math.isfinite(found)
    assert found <= plain
    if plain <= 0:
        assert found == plain


@pytest.mark.parametrize("shape", [1.0, 2.5])
@pytest.mark.parametrize("requests", [(600, 600), (100, 1900)])
def test_a_split_that_moves_is_a_distribution(shape: float, requests: tuple[int, int]) -> None:
    """A Bayes factor's mean under what it is measured against is 1."""
    many, share = 20, requests[0] / sum(requests)
    mean = 0.0
    for ours in range(many + 1):
        block = Block((requests[0], ours), (requests[1], many - ours))
        chance = math.comb(many, ours) * share**ours * (1 - share) ** (many - ours)
        mean += chance * math.exp(dispersion._split(block, shape, 1.0))
    assert mean == pytest.approx(1)


def test_rates_that_move_are_the_better_explanation_of_counts_that_do() -> None:
    wild = [Block((600, a), (600, b)) for a, b in [(0, 9), (12, 1), (2, 0), (1, 14), (9, 3)]]
    even = [Block((600, a), (600, b)) for a, b in [(5, 6), (5, 5), (6, 5), (5, 4), (4, 5)]]
    assert dispersion._moved(wild, 1.0, 1, 1.0) > 3
    assert dispersion._moved(even, 1.0, 1, 1.0) < -3


def test_three_times_the_errors_are_bad_in_some_minutes() -> None:
    assert (bad_at(ERRORS, minutes([(9, 3)] * 10)) or math.inf) <= 6


def test_a_change_after_ten_calm_minutes_is_found_as_soon() -> None:
    found = bad_at(ERRORS, minutes([CALM] * 10 + [(9, 3)] * 20))
    assert found is not None
    assert 10 < found <= 16


def test_ten_times_the_errors_need_no_calm_to_compare_with() -> None:
    assert (bad_at(ERRORS, minutes([(60, 3)] * 3)) or math.inf) <= 1


def test_an_incident_of_both_is_none_of_the_candidate() -> None:
    counted = [CALM] * 5 + [(120, 118), (117, 124), (125, 119)] + [CALM] * 10
    assert bad_at(ERRORS, minutes(counted)) is None


def test_harm_is_found_after_an_incident_of_both_too() -> None:
    shared = [CALM, (118, 120), (121, 119), (119, 121)]
    found = bad_at(ERRORS, minutes(shared + [(9, 3)] * 16))
    assert found is not None
    assert found <= 15


def test_rates_that_move_by_the_minute_alarm_the_plain_test_alone() -> None:
    alarms = {ERRORS: 0, PLAIN: 0}
    for seed in range(40):
        draw = random.Random(seed)
        counted = [
            (poisson(draw, 3 * draw.expovariate(1)), poisson(draw, 3 * draw.expovariate(1)))
            for _ in range(60)
        ]
        for policy in alarms:
            alarms[policy] += bad_at(policy, minutes(counted)) is not None
    assert alarms[PLAIN] >= 6
    assert alarms[ERRORS] <= 2


def _slow(counted: list[tuple[int, int]]) -> float:
    logs = counts.start(settings.WORSE)
    for place, (ours, theirs) in enumerate(counted):
        logs = counts.worse(logs, (600, ours), (600, theirs), 0.01, 0.0, 60.0 * place)
    plain = counts.mixed(logs, settings.WORSE)
    assert plain > math.log(100)
    blocks = [Block((600, ours), (600, theirs)) for ours, theirs in counted]
    kept = Blocks(closed=tuple(blocks[:-1]), open=blocks[-1], place=len(blocks) - 1)
    return dispersion.guarded(plain, kept, 60.0 * len(blocks), latency=True, allowed=1.0)


def test_one_drift_of_latency_is_one_observation_however_many_requests_it_has() -> None:
    drift = [(15, 6)] * 5
    assert _slow(drift) < math.log(100)
    assert _slow([(10 * ours, 10 * theirs) for ours, theirs in drift]) < math.log(100)


def test_slowness_that_stays_is_no_drift() -> None:
    assert _slow([(18, 6)] * 25) > math.log(100)


def test_what_is_many_times_slower_is_found_at_once() -> None:
    assert _slow([(140, 6)]) >= math.log(100)


def test_what_is_many_times_slower_is_found_at_once_later_too() -> None:
    assert _slow([(6, 6)] * 20 + [(550, 6)]) >= math.log(100)
