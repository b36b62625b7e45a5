"""Memory: the collector of garbage runs again afterwards, and buffers are used again."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest

from turnout.packages import buffers
from turnout.packages.buffers import Buffers, giving_back, keep_small, one_arena, uncollected


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


@pytest.mark.anyio
async def test_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, twice = asyncio.get_running_loop(), asyncio.Event()
    given: list[int] = []

    def trim(pad: int) -> int:
        given.append(pad)
        if len(given) == 2:
            loop.call_soon_threadsafe(twice.set)
        return 1

    monkeypatch.setattr(buffers, "_trim", trim)
    monkeypatch.setattr(buffers, "_REST_S", 0)
    task = asyncio.create_task(keep_small())
    async with asyncio.timeout(30):
        await twice.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_a_buffer_is_lent_again() -> None:
    lender = Buffers(10)
    with lender.lent() as first, lender.lent() as second:
        assert first is not second
    with lender.lent() as again:
        assert again is first or again is second
        again[:] = b"0123456789"
        assert bytes(again) == b"0123456789"
