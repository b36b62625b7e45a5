"""Keepers seen from the agent: started, known by their lock, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import turnout
from turnout.agent import records
from turnout.base.errors import Failed

SLACK = 5.0
"""Seconds beyond the grace after which a keeper that does not end is killed itself."""

_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from turnout.agent import keeper; sys.exit(keeper.main(sys.argv))"
)
_ROOT = Path(turnout.__file__).resolve().parents[1]
_children: list[subprocess.Popen[bytes]] = []


def holder(lock: Path) -> int | None:
    """Return the process id of the keeper that holds *lock*, or None if none lives.

    0 means that it lives but has not yet written its id.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            # Shared, so that two who look do not see each other; a keeper that starts meanwhile
            # tries again.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0)
            return int(text) if text.isdigit() else 0
        return None
    finally:
        os.close(descriptor)


async def start(spec: Path, errors: Path, deadline: float = 20.0) -> None:
    """Start the keeper of *spec*; return when it has launched the app and written its status.

    Args:
        spec: The record whose ``keeper`` part it reads.
        errors: Where its own error output goes.
        deadline: Seconds.

    Raises:
        Failed: It did not come up; the message holds the last of its errors.
    """
    reap()
    child = await asyncio.to_thread(_spawn, spec, errors)
    _children.append(child)
    assert child.stdout is not None
    answer = await asyncio.to_thread(_first_word, child.stdout.fileno(), deadline)
    child.stdout.close()
    if answer != b"kept\n" and holder(spec.parent / "keeper.lock") is None:
        # One that is only slow must not begin after its caller was told that it failed.
        child.kill()
        await asyncio.to_thread(child.wait)
        raise Failed(
            "An instance cannot be started",
            subject=str(spec.parent),
            why=_last_line(errors) or "its keeper ended at once",
            next_step="See the agent's log; the disk or the process limit may be exhausted.",
        )


async def stop(spec: Path, grace: float) -> None:
    """End a keeper and its app: SIGTERM, SIGKILL after *grace* seconds; return when both are gone."""
    lock = spec.parent / "keeper.lock"
    if holder(lock) is None:
        return
    records.write(spec.parent / "stop.json", {"grace": grace})
    patience = grace + SLACK
    sent = False
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while (pid := holder(lock)) is not None:
        if pid and not sent:
            sent = True
            _signal(pid, signal.SIGTERM)
        elif pid and loop.time() > until:
            _signal(pid, signal.SIGKILL)
        await _gone(pid, 0.02 if not pid else min(1.0, max(0.02, until - loop.time())))
    reap()


async def ended(lock: Path) -> None:
    """Return when no keeper holds *lock*."""
    while (pid := holder(lock)) is not None:
        await _gone(pid, 1.0)
    reap()


def reap() -> None:
    """Collect keepers of ours that have ended, so that none stays a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]


def _spawn(spec: Path, errors: Path) -> subprocess.Popen[bytes]:
    try:
        sink = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, str(_ROOT), str(spec)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                env={"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(sink)
    except OSError as error:
        raise Failed(
            "An instance cannot be started",
            subject=str(spec.parent),
            why=error.strerror or str(error),
            next_step="Free memory or processes, then try again.",
        ) from error


def _first_word(descriptor: int, deadline: float) -> bytes:
    ready, _, _ = select.select([descriptor], [], [], deadline)
    return os.read(descriptor, 16) if ready else b""


async def _gone(pid: int, patience: float) -> None:
    """Wait until process *pid* has ended, at most *patience* seconds."""
    try:
        handle = os.pidfd_open(pid) if pid else -1
    except OSError:
        handle = -1
    if handle < 0:
        await asyncio.sleep(min(patience, 0.02))
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            # Not wait_for, which before Python 3.12 can swallow a cancellation.
            async with asyncio.timeout(patience):
                await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1][:500] if lines else ""
    return ""
