"""Memory: the collector of garbage runs again afterwards, and buffers are used again."""

from __future__ import annotations

import gc

import pytest

from turnout.packages.buffers import Buffers, giving_back, one_arena, uncollected


def test_the_collector_runs_again_when_the_last_is_done() -> None:
    assert gc.isenabled()
    with uncollected():
        with pytest.raises(ValueError, match="inside"), uncollected():
            raise ValueError("inside")
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_giving_back_changes_neither_results_nor_errors() -> None:
    one_arena()

    @giving_back
    def divide(number: int, by: int = 1) -> float:
        return number / by

    assert divide(6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


def test_a_buffer_is_lent_again() -> None:
    buffers = Buffers(10)
    with buffers.lent() as first, buffers.lent() as second:
        assert first is not second
    with buffers.lent() as again:
        assert again is first or again is second
