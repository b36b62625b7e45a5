"""Cursors: where a page of a list ended, as a text that clients hand back unread."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from turnout.base.errors import InvalidInput

_FORM = re.compile(r"(\d{1,17}) ([0-9a-f]{64})")


def encode(at: datetime, release: str) -> str:
    """Return the cursor after the release *release* made *at*."""
    micros = round(at.timestamp() * 1_000_000)
    return base64.urlsafe_b64encode(f"{micros} {release}".encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, str]:
    """Return time and release of a cursor.

    Raises:
        InvalidInput: It is not one of ours.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        form = _FORM.fullmatch(text)
        if form is not None:
            micros = int(form.group(1))
            at = datetime.fromtimestamp(micros // 1_000_000, UTC)
            return at.replace(microsecond=micros % 1_000_000), form.group(2)
    except (binascii.Error, UnicodeError, ValueError, OverflowError, OSError):
        pass
    raise InvalidInput(
        "The cursor is not valid",
        why="it was not made by this server",
        next_step="Begin again without a cursor.",
    )
