"""The count test: each bet's mean is what was staked, also while part of the stake waits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.monitoring.analysis import counts, settings


def test_the_weights_are_a_whole() -> None:
    assert sum(weight for _, weight in settings.WORSE) == pytest.approx(1)
    assert sum(weight for _, weight in settings.BETTER) == pytest.approx(1)
    assert all(0 <= waits < 1 for waits in settings.WAITS)


def test_all_that_waits_has_begun_at_the_latest() -> None:
    left = [counts.waiting(minute) for minute in range(settings.LATEST + 2)]
    assert left[0] == pytest.approx(1)
    assert left == sorted(left, reverse=True)
    assert left[settings.LATEST] == left[-1] == 0
    assert counts.waiting(0.9) == left[0]


@given(
    candidate=st.integers(1, 500),
    control=st.integers(1, 500),
    errors=st.integers(0, 25),
    minute=st.integers(0, 70),
    before=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5),
)
def test_without_harm_a_bet_is_worth_its_stake_on_average(
    candidate: int, control: int, errors: int, minute: int, before: list[tuple[int, int]]
) -> None:
    logs = counts.start(settings.WORSE)
    for place, (ours, theirs) in enumerate(before):
        since = 60.0 * place * minute / 5
        logs = counts.worse(logs, (100, ours), (100, theirs), 0.01, 0.0, since)
    share = candidate / (candidate + control)
    since = 60.0 * minute
    mean = [0.0] * len(logs)
    for ours in range(errors + 1):
        chance = math.comb(errors, ours) * share**ours * (1 - share) ** (errors - ours)
        after = counts.worse(logs, (candidate, ours), (control, errors - ours), 0.01, 0.0, since)
        mean = [m + chance * math.exp(log) for m, log in zip(mean, after, strict=True)]
    for found, staked in zip(mean, logs, strict=True):
        assert found == pytest.approx(math.exp(staked), rel=1e-6, abs=1e-9)


def test_what_waits_is_not_lost_by_bets_that_fail() -> None:
    logs = counts.start(settings.WORSE)
    for minute in range(20):
        logs = counts.worse(logs, (600, 0), (600, 30), 0.005, 0.0, 60.0 * minute)
    for log, waits in zip(logs, settings.WAITS, strict=True):
        if waits:
            assert log >= math.log(waits * counts.waiting(19)) - 1e-9
        else:
            assert log < -50


def test_harm_that_begins_late_is_found_sooner_by_what_waited() -> None:
    def after(begins: int, waits: bool) -> float:
        logs = counts.start(settings.WORSE)
        for minute in range(begins + 5):
            ours = 9 if minute >= begins else 3
            since = 60.0 * minute if waits else 0.0
            logs = counts.worse(logs, (600, ours), (600, 3), 0.005, 0.0, since)
        return counts.mixed(logs, settings.WORSE)

    assert after(20, waits=True) > after(20, waits=False) + 2
