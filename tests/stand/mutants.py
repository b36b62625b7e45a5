"""Changes to a server under test: further crash actions, and faults that tests must notice.

``kill-agent`` kills the agent when the server reaches a failpoint, ``kill-both`` the server
with it, ``kill-envoy`` and the like processes of that kind, and ``fill=DIRECTORY`` fills a
disk.  They wait until there is something to kill, so no kill goes into the void.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from dbos._queue import Queue

from tests.stand import processes, zygote
from turnout.base import failpoints
from turnout.targets import local

STAND, DATA = "TURNOUT_STAND", "TURNOUT_STAND_DATA"
"""The environment variables that tell a forked server where its stand and its data are."""
FILLER = "filler"
"""What takes all space of a disk."""


def install(names: Iterable[str]) -> None:
    """Add the crash actions, and the faults of these names; agents are forked too."""
    failpoints.reached = _reached
    # Workflows are taken up through a queue that is looked at every second; that waiting is
    # all that changes here, and it would be most of the time of the crash tests.
    defaults = Queue.__init__.__kwdefaults__
    assert defaults is not None
    defaults["polling_interval_sec"] = 0.05
    local._spawn = _spawn  # type: ignore[assignment]
    for name in names:
        FAULTS[name]()


async def _reached(name: str) -> None:
    path = os.environ.get(failpoints.VARIABLE)
    action = (failpoints._wanted(path, name) if path else None) or ""
    if action in ("kill", "fail", ""):
        failpoints.hit(name)
        return
    if Path(f"{path}.{name}.done").exists():
        return
    pids = [await _agent()] if action in ("kill-agent", "kill-both") else []
    while not pids and action.startswith("kill-"):
        pids = await asyncio.to_thread(_of_kind, action.removeprefix("kill-"))
    if failpoints._first(f"{path}.{name}.done"):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if action == "kill-both":
            os.kill(os.getpid(), signal.SIGKILL)
        if action.startswith("fill="):
            fill(Path(action.removeprefix("fill=")))


def fill(directory: Path) -> None:
    """Leave no free byte on the disk of *directory*."""
    with (directory / FILLER).open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def _of_kind(kind: str) -> list[int]:
    base = Path(os.environ[STAND])
    return [one.pid for one in processes.of(base) if one.kind == kind]


async def _agent() -> int:
    """Return the process number of the agent, once it has come up."""
    record = Path(os.environ[DATA]) / "host" / "agent.json"
    while True:
        try:
            pid = int(json.loads(record.read_bytes())["pid"])
            if Path(f"/proc/{pid}/comm").read_text().strip() == "turnout-agent":
                return pid
        except (OSError, ValueError, KeyError):
            pass
        await asyncio.sleep(0.02)


class _Forked:
    """A forked agent, as far as its starter looks at it."""

    def __init__(self, pid: int, stdout: BinaryIO) -> None:
        self.pid, self.stdout = pid, stdout

    def poll(self) -> int | None:
        return None if Path(f"/proc/{self.pid}").exists() else 1

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("agent", timeout)
            time.sleep(0.01)
        return 1


def _spawn(data: Path, socket: Path, host: str, http: tuple[str, int], output: Path) -> _Forked:
    """Start an agent as :func:`turnout.targets.local._spawn` does, but quickly."""
    argv = ["--data", str(data), "--socket", str(socket), "--host", host]
    argv += ["--http", f"{http[0]}:{http[1]}"]
    passed = {name: os.environ[name] for name in local._PASSED_ON if name in os.environ}
    reader, writer = os.pipe()
    with output.open("wb") as sink:
        outputs = (writer, sink.fileno())
        pid = zygote.fork(Path(os.environ[STAND]), "agent", argv, passed, (), outputs)
    os.close(writer)
    return _Forked(pid, os.fdopen(reader, "rb"))


def _no_switch_back() -> None:
    """The undo of a switch does nothing, and says that it did."""
    _replace("SWITCH_BACK", _nothing)


def _no_conceal() -> None:
    """The undo of an exposure leaves the release in the router."""
    _replace("CONCEAL", _nothing)


def _no_unstage() -> None:
    """The undo of staging leaves the release on the host."""
    _replace("UNSTAGE", _nothing)


def _no_discard() -> None:
    """The undo of sealing leaves the package."""
    _replace("DISCARD", _nothing)


def _told_twice() -> None:
    """A step that is done is recorded twice."""
    from turnout.monitoring.events import EventLog

    original = EventLog.append

    def append(self: EventLog, connection: Any, kind: str, **data: Any) -> None:
        for _ in range(2 if kind == "step.done" else 1):
            original(self, connection, kind, **data)

    EventLog.append = append  # type: ignore[method-assign]


async def _nothing(_ctx: Any, _job: Any, _host: str, _args: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _replace(action: str, effect: Any) -> None:
    from turnout.coordinator.effects import EFFECTS
    from turnout.domain.steps import Action

    EFFECTS[Action[action]] = effect


FAULTS = {
    "no-switch-back": _no_switch_back,
    "no-conceal": _no_conceal,
    "no-unstage": _no_unstage,
    "no-discard": _no_discard,
    "told-twice": _told_twice,
}
