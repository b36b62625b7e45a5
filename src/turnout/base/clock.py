"""The clock as the rest of the house sees it: aware times in UTC, and a monotonic counter."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the time of day in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never go back, for deadlines and durations."""
    return time.monotonic()
