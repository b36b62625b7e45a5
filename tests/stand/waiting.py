"""Waiting for what will come true, with a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any


async def eventually_async(
    condition: Callable[[], Any], seconds: float = 15.0, what: str = ""
) -> Any:
    """Return the first true value of *condition*, which is called in a thread."""
    return await asyncio.to_thread(eventually, condition, seconds, what)


def eventually(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """Return the first true value of *condition*; fail if there is none in time."""
    until = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < until, what or "it did not come true in time"
        time.sleep(0.02)
