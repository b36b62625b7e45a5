"""Followers of the event log miss nothing and see nothing twice, whoever writes meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from turnout.base.database import Database, metadata
from turnout.monitoring import tail
from turnout.monitoring.events import EventLog
from turnout.wire.api import Event

pytestmark = pytest.mark.anyio
WRITERS, EACH = 4, 40


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(database.engine)
    return EventLog(database)


def _write(log: EventLog, kind: str, times: int = 1) -> None:
    for number in range(times):
        with log._database.transaction() as connection:
            log.append(connection, kind, deployment="dep-1", number=number)


async def _all(log: EventLog, wanted: int, seq: int = 0) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(30):
        async for batch in log.follow(seq):
            seen += [event.seq for event in batch]
            if len(seen) >= wanted:
                break
    return seen


async def test_no_gap_and_no_duplicate_under_concurrent_writers(log: EventLog) -> None:
    followers = [asyncio.create_task(_all(log, WRITERS * EACH)) for _ in range(3)]
    threads = [
        threading.Thread(target=_write, args=(log, f"writer.{n}", EACH)) for n in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for seen in await asyncio.gather(*followers):
        assert seen == list(range(1, WRITERS * EACH + 1))
    for thread in threads:
        thread.join()


async def test_who_comes_back_goes_on_where_it_was(log: EventLog) -> None:
    _write(log, "a", 5)
    assert await _all(log, 2, seq=3) == [4, 5]


async def test_a_bell_wakes_at_once(log: EventLog) -> None:
    follower = asyncio.create_task(_all(log, 1))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1.0):
        await asyncio.to_thread(_write, log, "a")
        assert await follower == [1]


async def test_another_process_is_noticed_too(log: EventLog) -> None:
    follower = asyncio.create_task(_all(log, 1))
    await asyncio.sleep(0.05)
    other = EventLog(Database(log._database.url))
    await asyncio.to_thread(_write, other, "a")
    assert await follower == [1]


async def test_what_was_undone_is_not_told(log: EventLog) -> None:
    with pytest.raises(ValueError, match="no"), log._database.transaction() as connection:
        log.append(connection, "a")
        raise ValueError("no")
    assert (log.last_seq(), log.after(0)) == (0, [])


async def test_only_one_deployment_when_asked(log: EventLog) -> None:
    _write(log, "a")
    with log._database.transaction() as connection:
        log.append(connection, "b", deployment="dep-2")
    assert [event.kind for event in log.after(0, deployment="dep-2")] == ["b"]


async def test_a_follower_that_leaves_is_forgotten(log: EventLog) -> None:
    _write(log, "a")
    await _all(log, 1)
    await asyncio.sleep(0.05)
    assert log._waiting == set()


async def test_many_followers_of_one_commit_ask_the_database_once(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = log._tail._read

    def counting(seq: int) -> Sequence[Event]:
        asked.append(seq)
        return read(seq)

    monkeypatch.setattr(log._tail, "_read", counting)
    followers = [asyncio.create_task(_all(log, 10)) for _ in range(100)]
    while len(log._waiting) < 100:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.to_thread(_write, log, "a", 10)
    for seen in await asyncio.gather(*followers):
        assert seen == list(range(1, 11))
    # Two for each commit at most: one that finds it, one that finds the end.
    assert len(asked) <= 40


async def test_who_is_far_behind_reads_for_itself_and_meets_the_others(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "KEPT", 5)
    _write(log, "before", 3)
    late = asyncio.create_task(_all(log, 3))
    assert await late == [1, 2, 3]
    await asyncio.to_thread(_write, log, "a", 20)
    assert await _all(log, 23) == list(range(1, 24))
    assert await _all(log, 2, seq=21) == [22, 23]


async def test_one_deployment_among_others(log: EventLog) -> None:
    await asyncio.to_thread(_write, log, "a", 3)
    with log._database.transaction() as connection:
        log.append(connection, "b", deployment="dep-2")
    async with asyncio.timeout(10):
        async for batch in log.follow(0, deployment="dep-2"):
            if batch:
                assert [event.seq for event in batch] == [4]
                break
