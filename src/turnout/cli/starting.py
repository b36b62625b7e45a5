"""Whether a server of this user is on its way up: then it is worth waiting for."""

from __future__ import annotations

import os
import time
from pathlib import Path

START_S = 30.0
"""How long a server may take from its lock to its first answer."""


def server_starts() -> bool:
    """Return whether a server began to start on this user's data directory a moment ago.

    ``turnout up`` writes its process number into ``server.lock`` before it does anything else.
    The lock itself is left alone: even a short shared one could turn away a server that starts
    at that moment.
    """
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    try:
        lock = Path(base).expanduser() / "turnout" / "server.lock"
        process = int(lock.read_text("ascii")[:20])
        if process <= 0 or time.time() - lock.stat().st_mtime > START_S:
            return False
        os.kill(process, 0)
    except (OSError, ValueError, OverflowError, RuntimeError):
        return False  # nobody was there, is there, or is ours
    return True
