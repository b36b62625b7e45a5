"""Failpoints: named places where a crash test may end the process.

Without the environment variable :data:`VARIABLE` they do nothing.  With it, it names a file
of lines ``name=action``; each line acts once in its life, also across restarts of the
process, because ``FILE.NAME.done`` is created first and whoever creates it acts.

Actions: ``kill`` ends the process with SIGKILL; ``fail`` raises :class:`Failed`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from turnout.base.errors import Failed

VARIABLE = "TURNOUT_FAILPOINTS"


async def reached(name: str) -> None:
    """Act on failpoint *name* if a test asked for it; asynchronous only to mark the place."""
    hit(name)


def hit(name: str) -> None:
    """Act on failpoint *name* if a test asked for it.

    Raises:
        Failed: The test asked for a failure here.
    """
    path = os.environ.get(VARIABLE)
    if path:
        action = _wanted(path, name)
        if action is not None and _first(f"{path}.{name}.done"):
            _act(name, action)


def _wanted(path: str, name: str) -> str | None:
    try:
        with Path(path).open(encoding="utf-8") as file:
            for line in file:
                key, _, action = line.strip().partition("=")
                if key == name:
                    return action
    except FileNotFoundError:
        pass
    return None


def _first(marker: str) -> bool:
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def _act(name: str, action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "fail":
        raise Failed("A failpoint was reached", subject=name)
    else:
        raise ValueError(f"failpoint {name} has the unknown action {action!r}")
