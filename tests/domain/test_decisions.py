"""Retries, breakers and queues: small decisions, with the corners that bite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.base.errors import (
    Aborted,
    Conflict,
    Exhausted,
    Failed,
    InvalidInput,
    Refused,
    TurnoutError,
    Unreachable,
    Untrusted,
)
from turnout.domain.breaker import Breaker
from turnout.domain.queueing import SECONDS_A_LEVEL, Waiting, in_turn
from turnout.domain.retry import RetryPolicy, worth_retrying


@given(attempts=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_a_delay_is_jittered_and_bounded(attempts: int, chance: float) -> None:
    policy = RetryPolicy(first_delay=0.2, longest_delay=10.0)
    delay = policy.delay(attempts, chance)
    ceiling = min(10.0, 0.2 * 2.0 ** min(attempts - 1, 30))
    assert ceiling / 2 <= delay <= ceiling
    assert policy.delay(attempts + 1, chance) >= delay


@pytest.mark.parametrize(
    ("error", "worth"),
    [
        (Unreachable("x"), True),
        (Failed("x"), True),
        (Conflict("x"), True),
        (Failed("x", facts={"final": True}), False),
        (Aborted("x"), False),
        (InvalidInput("x"), False),
        (Refused("x"), False),
        (Untrusted("x"), False),
        (Exhausted("x"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: TurnoutError, worth: bool) -> None:
    assert worth_retrying(error) is worth


def test_a_breaker_opens_rests_and_closes() -> None:
    breaker = Breaker(threshold=2, rest=5.0)
    breaker = breaker.failed(0.0)
    assert breaker.closed_in(0.0) == 0.0
    breaker = breaker.failed(1.0)
    assert breaker.closed_in(2.0) == 4.0
    # Half-open: one may try; a failure opens it again at once, an answer closes it.
    assert breaker.closed_in(6.0) == 0.0
    assert breaker.failed(6.0).closed_in(7.0) == 4.0
    assert breaker.succeeded() == Breaker(threshold=2, rest=5.0)


def test_one_failure_among_answers_opens_nothing() -> None:
    breaker = Breaker(threshold=2)
    for now in range(10):
        breaker = breaker.failed(float(now)).succeeded()
    assert breaker.opened_at is None


def _ids(waiting: list[Waiting], running: tuple[str, ...] = ()) -> list[str]:
    return [one.id for one in in_turn(waiting, running)]


def test_priority_first_then_the_idle_project_then_who_came_first() -> None:
    queue = [
        Waiting("a1", "a", 1, 0),
        Waiting("a2", "a", 1, 0),
        Waiting("b1", "b", 1, 0),
        Waiting("u1", "a", 3, 0),
    ]
    assert _ids(queue) == ["u1", "b1", "a1", "a2"]
    assert _ids(queue, ("b", "b", "b")) == ["u1", "a1", "a2", "b1"]


def test_who_waits_long_enough_overtakes_the_urgent() -> None:
    old = Waiting("old", "a", 0, 4 * SECONDS_A_LEVEL)
    assert _ids([Waiting("new", "a", 3, 0), old]) == ["old", "new"]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.floats(0, 2000)), max_size=30),
    st.lists(st.sampled_from("abc"), max_size=6),
)
def test_the_order_is_that_of_the_plain_rule(
    entries: list[tuple[str, int, float]], running: list[str]
) -> None:
    queue = [Waiting(str(place), *entry) for place, entry in enumerate(entries)]
    busy = {project: running.count(project) for project in "abc"}
    left, expected = list(queue), []
    while left:
        chosen = min(left, key=lambda one: (-one.level, busy[one.project], int(one.id)))
        left.remove(chosen)
        busy[chosen.project] += 1
        expected.append(chosen)
    assert list(in_turn(queue, running)) == expected
