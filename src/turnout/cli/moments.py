"""Moments as people type them: a date and time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from turnout.base import clock
from turnout.base.errors import InvalidInput


def moment(text: str, option: str) -> datetime:
    """Return the moment that *text* names; without an offset it is one of this machine's zone.

    Args:
        text: Such as ``2026-11-20T14:00`` or ``2026-11-20T14:00:00Z``.
        option: Where it was given, for the message.

    Raises:
        InvalidInput: It is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidInput(
            f"{ascii(text)[:60]} is no date and time",
            subject=option,
            next_step="Write it as 2026-11-20T14:00, with Z or +01:00 behind it for another zone.",
        ) from None


def moment_or_ago(text: str, option: str) -> datetime:
    """Return the moment that *text* names: as :func:`moment`, or a duration before now.

    Raises:
        InvalidInput: It is neither.
    """
    from turnout.cli.values import duration

    try:
        return clock.now() - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        return moment(text, option)
    except InvalidInput as error:
        error.next_step = "Write it as 2026-11-20T14:00, or as a time ago such as 15m or 2h."
        raise
