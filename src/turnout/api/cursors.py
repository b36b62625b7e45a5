"""Cursors: where a page of a list ended, as a text that clients hand back unread."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from turnout.base.errors import InvalidInput

_FORM = re.compile(r"(\d{1,17}) ([0-9a-f]{64})")
_LINE = re.compile(r"line (\d{1,12}(?:\.\d{1,17})?) (\d{1,6})")
_MOST_SEEN = 100_000


def encode(at: datetime, release: str) -> str:
    """Return the cursor after the release *release* made *at*."""
    return _packed(f"{round(at.timestamp() * 1_000_000)} {release}")


def decode(cursor: str) -> tuple[datetime, str]:
    """Return time and release of a cursor.

    Raises:
        InvalidInput: It is not one of ours.
    """
    micros, release = _parts(cursor, _FORM)
    try:
        at = datetime.fromtimestamp(int(micros) // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        raise _foreign() from None
    return at.replace(microsecond=int(micros) % 1_000_000), release


def encode_line(at: float, seen: int) -> str:
    """Return the cursor after *seen* log lines of the moment *at*, in seconds since 1970."""
    return _packed(f"line {at!r} {seen}")


def decode_line(cursor: str) -> tuple[float, int]:
    """Return moment and number of a cursor of :func:`encode_line`.

    Raises:
        InvalidInput: It is not one of ours.
    """
    at, seen = _parts(cursor, _LINE)
    if int(seen) > _MOST_SEEN:
        raise _foreign()
    return float(at), int(seen)


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parts(cursor: str, form: re.Pattern[str]) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise _foreign() from None
    found = form.fullmatch(text)
    if found is None:
        raise _foreign()
    return found[1], found[2]


def _foreign() -> InvalidInput:
    return InvalidInput(
        "The cursor is not valid",
        why="it was not made by this server",
        next_step="Begin again without a cursor.",
    )
