"""A detached process is known by its lock, not by its number."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from turnout.base.errors import Conflict, Failed
from turnout.routers.processes import Detached, last_lines

pytestmark = pytest.mark.anyio

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
IGNORING = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True);"
STUBBORN = [sys.executable, "-c", IGNORING + " time.sleep(60)"]


class Case:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory / "output"

    def object(self) -> Detached:
        return Detached("it", self.directory / "lock")

    def spawn(self, argv: list[str]) -> int:
        return self.object().spawn(
            argv, environment={"A": "1"}, directory=self.directory, output=self.output, note="n"
        )


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    case = Case(tmp_path)
    yield case
    await case.object().end(0.1)


async def test_another_object_finds_it_with_its_note(case: Case) -> None:
    assert case.object().holder() is None
    pid = case.spawn(SLEEPER)
    holder = case.object().holder()
    assert holder is not None
    assert (holder.pid, holder.note) == (pid, "n")
    assert os.getsid(pid) == pid


async def test_there_is_never_a_second_one(case: Case) -> None:
    case.spawn(SLEEPER)
    with pytest.raises(Conflict):
        case.spawn(SLEEPER)


async def test_a_killed_process_is_gone_whatever_the_file_says(case: Case) -> None:
    pid = case.spawn(SLEEPER)
    os.kill(pid, signal.SIGKILL)
    assert await case.object().wait_gone(5)
    # A number alone proves nothing: here it is that of a process that lives.
    (case.directory / "lock").write_text(f'{{"pid": {os.getpid()}, "note": ""}}')
    assert case.object().holder() is None
    await case.object().end(0.1)


async def test_its_own_end_leaves_no_zombie(case: Case) -> None:
    process = case.object()
    pid = process.spawn(
        [sys.executable, "-c", ""], environment={}, directory=case.directory, output=case.output
    )
    assert await process.wait_gone(10)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it does not wait


async def test_its_end_is_told_to_whoever_waits(case: Case) -> None:
    with anyio.fail_after(10):
        await case.object().ended()
    pid = case.spawn(SLEEPER)
    others = [asyncio.create_task(case.object().ended()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in others)
    os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(10):
        await asyncio.gather(*others)


async def test_what_ignores_sigterm_is_killed(case: Case) -> None:
    case.spawn(STUBBORN)
    process = case.object()
    with anyio.fail_after(10):
        while not case.output.read_bytes():  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.01)
    await process.end(0.2)
    assert process.holder() is None


async def test_a_program_that_is_not_there_is_named(case: Case) -> None:
    with pytest.raises(Failed, match="/no/such/program"):
        case.spawn(["/no/such/program"])
    assert case.object().holder() is None


async def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_bytes(b"x" * 5000 + b"end")
    assert last_lines(log, 10) == "xxxxxxxend"
