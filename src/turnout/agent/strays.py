"""Strays: processes of an instance whose keeper was killed, found by their environment.

The app itself dies with its keeper; what it had started may not.  The private home directory
in ``HOME`` belongs to one instance of one agent, so nothing else can be meant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path


async def kill(home: Path) -> int:
    """Kill every process that was given *home*; return how many there were."""
    return await asyncio.to_thread(_kill, f"HOME={home}".encode())


def _kill(mark: bytes) -> int:
    killed = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH208, PTH112 - names only
        if not name.isdigit() or int(name) == os.getpid() or not _carries(name, mark):
            continue
        with contextlib.suppress(OSError):
            # By descriptor: the number may pass to another process between look and signal.
            handle = os.pidfd_open(int(name))
            try:
                if _carries(name, mark):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed += 1
            finally:
                os.close(handle)
    return killed


def _carries(pid: str, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
