"""The last resort: ends what still runs out of the demo's own directory.

An orderly end leaves nothing.  This is for a server that was killed, whose apps and router
outlive it by design.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

ROUNDS = 5


def end(home: Path) -> list[str]:
    """End every process of this user that runs in or on *home*; return their names.

    Args:
        home: A temporary directory that only the demo's processes know of.
    """
    names: list[str] = []
    # A server that is on its way out may still start its agent again, so look until it is quiet.
    for _ in range(ROUNDS):
        found = [process for process in psutil.process_iter() if _belongs(process, str(home))]
        if not found:
            break
        names += _end(found)
    return names


def _end(found: list[psutil.Process]) -> list[str]:
    names = []
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(process.name())
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=3)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=3)
    return names


def _belongs(process: psutil.Process, home: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.uids().real != os.getuid():
            return False
        where = [*process.cmdline(), process.cwd()]
    except psutil.Error:
        return False
    return any(home in part for part in where if part)
