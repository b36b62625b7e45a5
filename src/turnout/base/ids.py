"""Names and identifiers: what they look like, and how new ones are made."""

from __future__ import annotations

import re
import secrets
import time

from turnout.base.errors import InvalidInput

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
"""Projects and environments: one DNS label of at most 40 characters (RFC 1123 allows 63)."""

RELEASE = re.compile(r"[0-9a-f]{64}\Z")
"""A release: the SHA-256 of its canonical manifest, in hexadecimal."""

REVISION = re.compile(r"[0-9a-f]{16}\Z")
"""A revision: the start of the SHA-256 of a release and its configuration, in hexadecimal."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a new identifier such as ``dep-01k3y6p0qsx8m4``.

    The first nine characters are the milliseconds since 1970 in Crockford's base 32, so
    identifiers sort by age; nine random ones (45 bits) follow.

    Args:
        prefix: What it names, such as ``dep`` or ``upl``.
    """
    stamp = time.time_ns() // 1_000_000
    return f"{prefix}-{_base32(stamp, 9)}{_base32(secrets.randbits(45), 9)}"


def check_name(name: str, kind: str) -> str:
    """Return *name* if it may name a project or an environment.

    Raises:
        InvalidInput: It may not; the message says what is allowed.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:60]!r} cannot name {kind}",
            why="names are 1 to 40 lower-case letters, digits and inner hyphens",
            next_step="Choose another name, for example 'shop' or 'web-2'.",
        )
    return name


def scope_of(project: str, environment: str) -> str:
    """Return the scope ``project/environment`` of two checked names."""
    return f"{check_name(project, 'a project')}/{check_name(environment, 'an environment')}"


def _base32(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
