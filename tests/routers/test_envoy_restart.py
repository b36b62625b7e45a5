"""Real Envoy: a fresh process takes over without a failed request, and what is cut off mends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.routers.load import Load
from tests.routers.sites import NEW, NEW_RELEASE, OLD, OLD_RELEASE, SCOPE, backend, site
from tests.routers.upstream import Client, Upstream, ask_once
from turnout.base.errors import Failed
from turnout.routers import envoy_command, programs
from turnout.routers.envoy import EnvoyRouter
from turnout.routers.envoy_command import read_note
from turnout.routers.port import Site
from turnout.routers.processes import Detached, Holder

pytestmark = [pytest.mark.anyio, pytest.mark.real]

Apps = tuple[Upstream, Upstream]
NewRouter = Callable[[], EnvoyRouter]


def process(directory: Path, name: str = "envoy") -> Detached:
    return Detached("Envoy", directory / "run" / f"{name}.lock")


def holder(directory: Path, name: str = "envoy") -> Holder:
    found = process(directory, name).holder()
    assert found is not None
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs; one that nobody collects yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def both(apps: Apps, old: int) -> Site:
    weights = {OLD: old, NEW: 100 - old}
    return site(backend(OLD, apps[0].address), backend(NEW, apps[1].address), weights=weights)


async def test_no_request_fails_over_a_restart_and_changes_after_it(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    async with Load(port).running() as load:
        await load.more("new_connection", 50)
        restarted = await router.restart()
        assert (restarted.epoch, restarted.version) == (1, programs.ENVOY.pinned)
        assert restarted.took_s > 0
        for old in (50, 0):
            await router.apply([both(apps, old)])
            await load.more("new_connection", 50)
        await load.more("events", 5)
        print(f"took {restarted.took_s * 1000:.0f} ms, {dict(load.done)}")
    assert load.failures == []
    assert set(load.done) == {"keep_alive", "new_connection", "upload", "web_socket", "events"}

    adopted = new_router()
    await adopted.start()
    assert await adopted.alive()
    assert not adopted.outdated
    assert read_note(holder(short_dir).note).epoch == 1
    assert (await ask_once(port, "shop.test")).headers["x-turnout-release"] == NEW_RELEASE


async def test_a_second_restart_waits_for_what_the_first_left_behind(
    router: EnvoyRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    stream = Client(port)
    await stream.head("GET", "/events")
    await router.restart()
    with pytest.raises(Failed, match="still has 1 connections"):
        await router.restart()
    assert (await stream.event()).startswith("old")
    oldest = holder(short_dir, "envoy.old").pid
    await stream.close()
    async with asyncio.timeout(10):
        while True:
            try:
                second = await router.restart()
                break
            except Failed:
                await asyncio.sleep(0.1)
    assert second.epoch == 2
    assert holder(short_dir, "envoy.old").pid != oldest
    assert not alive(oldest)
    assert (await ask_once(port, "shop.test")).status == 200


async def test_streams_end_in_the_old_process_and_are_waited_for(
    router: EnvoyRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    stream = Client(port)
    await stream.head("GET", "/events")
    before = holder(short_dir)
    await router.restart()
    assert holder(short_dir, "envoy.old") == before
    assert holder(short_dir).pid != before.pid
    # It still sees both what the old process has under way and who has it.
    async with asyncio.timeout(5):
        while await router.wait_idle(SCOPE, OLD, 0) != 1:
            pass
    assert await router.wait_idle(SCOPE, OLD, 0, apps[0].address) == 1
    await router.apply([both(apps, 0)])
    assert [(await stream.event()).split()[0] for _ in range(3)] == ["old"] * 3
    await stream.close()
    assert await router.wait_idle(SCOPE, OLD, 5) == 0


async def test_the_counters_say_that_they_begin_anew(
    router: EnvoyRouter, new_router: NewRouter, port: int, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    for _ in range(5):
        await ask_once(port, "shop.test")
    before = await router.statistics()
    assert (await new_router().statistics()).counting_since == before.counting_since
    await router.restart()
    after = await router.statistics()
    assert after.counting_since != before.counting_since
    for _ in range(3):
        await ask_once(port, "shop.test")
    async with asyncio.timeout(5):
        while True:
            [(_, old), _] = (await router.statistics()).backends
            if sum(count for _, count in old.latency) == 3:
                break
            await asyncio.sleep(0.05)
    # What the old process counted since its last flush is handed over, no more.
    assert 3 <= old.requests <= 8


async def test_the_gap_after_a_kill_is_measured(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    began = time.perf_counter()
    os.kill(holder(short_dir).pid, signal.SIGKILL)
    assert await process(short_dir).wait_gone(5)
    await new_router().start()
    assert (await ask_once(port, "shop.test")).headers["x-turnout-release"] == OLD_RELEASE
    print(f"back {(time.perf_counter() - began) * 1000:.0f} ms after the kill")


async def test_after_a_restart_and_a_kill_it_is_back_with_the_same_state(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    await router.restart()
    counting = (await router.statistics()).counting_since
    old = holder(short_dir, "envoy.old").pid
    os.kill(holder(short_dir).pid, signal.SIGKILL)
    assert await process(short_dir).wait_gone(5)
    again = new_router()
    await again.start()
    assert (await ask_once(port, "shop.test")).headers["x-turnout-release"] == OLD_RELEASE
    assert read_note(holder(short_dir).note).epoch == 0
    assert (await again.statistics()).counting_since != counting
    assert process(short_dir, "envoy.old").holder() is None
    assert not alive(old)
    assert (await again.restart()).epoch == 1


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_restart_that_is_cut_off_is_completed(
    router: EnvoyRouter,
    new_router: NewRouter,
    port: int,
    short_dir: Path,
    apps: Apps,
    monkeypatch: pytest.MonkeyPatch,
    swapped: bool,
) -> None:
    await router.apply([both(apps, 100)])
    before = holder(short_dir).pid

    class Killed(BaseException):
        """The agent dies here."""

    def die(self: Detached, other: Detached, kept: Detached) -> None:
        if swapped:
            kept._lock.hardlink_to(other._lock)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Detached, "take_place_of", die)
        await router.restart()
    fresh = holder(short_dir, "envoy.next").pid
    again = new_router()
    await again.start()
    assert (holder(short_dir).pid, holder(short_dir, "envoy.old").pid) == (fresh, before)
    assert process(short_dir, "envoy.next").holder() is None
    assert (await ask_once(port, "shop.test")).status == 200
    await again.apply([both(apps, 0)])
    assert (await again.restart()).epoch == 2


async def test_a_successor_that_was_killed_on_its_way_is_cleared_away(
    router: EnvoyRouter, new_router: NewRouter, port: int, short_dir: Path, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    restarting = asyncio.create_task(router.restart())
    while (found := process(short_dir, "envoy.next").holder()) is None or not found.pid:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    os.kill(found.pid, signal.SIGKILL)
    with pytest.raises(Failed, match="was not restarted"):
        await restarting
    assert (await ask_once(port, "shop.test")).status == 200
    again = new_router()
    await again.start()
    assert await again.alive()
    await again.apply([both(apps, 0)])
    assert (await ask_once(port, "shop.test")).headers["x-turnout-release"] == NEW_RELEASE
    assert not (short_dir / "run" / "envoy.next.lock").exists()


async def test_another_hot_restart_version_is_refused_before_anything_happens(
    router: EnvoyRouter, short_dir: Path, apps: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    await router.apply([both(apps, 100)])
    before = holder(short_dir)
    monkeypatch.setattr(programs, "hot_restart_version", lambda path: "12.1")
    with pytest.raises(Failed, match=r"cannot take over.*12\.1"):
        await router.restart()
    assert holder(short_dir) == before
    assert await router.alive()


async def test_a_restart_renews_what_is_outdated(
    router: EnvoyRouter, new_router: NewRouter, port: int, apps: Apps
) -> None:
    await router.apply([both(apps, 100)])
    again = new_router()
    again._process._config["stats_flush_interval"] = "2s"
    await again.start()
    outdated = [again.outdated, router.outdated]
    await again.restart()
    assert [*outdated, again.outdated, router.outdated] == [True, False, False, True]


async def test_another_version_of_the_program_is_outdated(
    router: EnvoyRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not router.outdated
    monkeypatch.setattr(programs, "version", lambda program, path: "1.40.1")
    assert router.outdated


async def test_the_old_process_ends_after_its_time_and_takes_nothing_along(
    router: EnvoyRouter,
    new_router: NewRouter,
    port: int,
    short_dir: Path,
    apps: Apps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await router.apply([both(apps, 100)])
    # The process that serves tells its predecessor when to end, so the second one counts.
    monkeypatch.setattr(envoy_command, "PARENT_SHUTDOWN_S", 1)
    stream = Client(port)
    await stream.head("GET", "/events")
    async with Load(port, streams=False).running() as load:
        await router.restart()
        assert await process(short_dir, "envoy.old").wait_gone(10)
        await load.more("new_connection", 20)
        assert await router.alive()
        await router.apply([both(apps, 0)])
        await load.more("new_connection", 20)
    # What does not end in time is cut off, and no count of it stays.
    with pytest.raises((EOFError, OSError, ValueError)):
        while True:
            await stream.event()
    await stream.close()
    async with asyncio.timeout(5):
        while await router.wait_idle(SCOPE, OLD, 0):
            pass
    assert len(load.failures) <= 3, load.failures
    await router.restart()
    assert (await ask_once(port, "shop.test")).headers["x-turnout-release"] == NEW_RELEASE


async def test_without_a_process_there_is_nothing_to_take_over_from(
    router: EnvoyRouter,
) -> None:
    await router.stop()
    with pytest.raises(Failed, match="does not run"):
        await router.restart()
    assert not await router.alive()
