"""The processes of one stand, found by its directory in their arguments, place or environment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Found:
    """One process of a stand.

    Attributes:
        kind: ``server``, ``agent``, ``envoy``, ``caddy``, ``keeper``, ``app`` or ``other``.
        place: Its working directory.
    """

    pid: int
    kind: str
    place: str
    words: tuple[str, ...]


def of(base: Path) -> list[Found]:
    """Return the processes of the stand at *base*, our own process left out."""
    return list(_find(str(base)))


def end(base: Path) -> None:
    """Kill every process of the stand at *base*, by pid, until none is left.

    Raises:
        AssertionError: Some do not go.
    """
    until = time.monotonic() + 15.0
    while found := of(base):
        # The agent first: it would start again what is killed before it.
        for process in sorted(found, key=lambda one: one.kind not in ("server", "agent")):
            kill(process.pid)
        assert time.monotonic() < until, f"still there: {found}"
        time.sleep(0.02)


def kill(pid: int) -> bool:
    """Kill one process and wait until it is gone; return whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    until = time.monotonic() + 10.0
    # What remains may be a zombie for long, where the first process of the machine is lazy.
    while alive(pid):
        assert time.monotonic() < until, f"{pid} does not die"
        time.sleep(0.005)
    return True


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _find(mark: str) -> Iterator[Found]:
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.uids().real != os.getuid():
                continue
            words, place = process.cmdline(), process.cwd()
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
            named = any(mark in word for word in words) or place.startswith(mark)
            if not named and not any(mark in value for value in process.environ().values()):
                continue
        except (psutil.Error, OSError):
            continue
        yield Found(process.pid, _kind(name, words, place), place, tuple(words))


def _kind(name: str, words: list[str], place: str) -> str:
    text = " ".join(words)
    if "turnout.agent" in words or name == "turnout-agent":
        return "agent"
    if "keeper.main" in text:
        return "keeper"
    if words and Path(words[0]).name in ("envoy", "caddy"):
        return Path(words[0]).name
    if "/host/apps/" in place:
        return "app"
    if ("up" in words and "--data" in words) or name == "turnout-server":
        return "server"
    return "other"
