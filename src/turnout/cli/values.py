"""Durations, sizes and percentages as ``turnout.toml`` writes them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

DURATION_PATTERN = rf"^{_DURATION.pattern}$"
SIZE_PATTERN = rf"^{_SIZE.pattern}$"
PERCENT_PATTERN = rf"^{_PERCENT.pattern}$"


def duration(text: object) -> float:
    """Return the seconds that *text* such as ``"500ms"``, ``"2m"`` or ``"1.5h"`` stands for.

    Raises:
        ValueError: It is no duration; the message says what is allowed.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a duration such as "500ms", "1s", "2m", "1h" or "7d"')
    # Rounded so that "300ms" is 0.3 and not 0.30000000000000004.
    return round(float(found[1]) * _SECONDS[found[2]], 9)


def size(text: object) -> int:
    """Return the bytes that *text* such as ``"256MB"`` (decimal) or ``"256MiB"`` stands for.

    Raises:
        ValueError: It is no size; the message says what is allowed.
    """
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a size such as "512kB", "256MB", "256MiB" or "2GiB"')
    return round(float(found[1]) * _BYTES[found[2]])


def percent(text: object) -> float:
    """Return the share that *text* such as ``"0.5%"`` stands for; ``"100%"`` is 1.

    Raises:
        ValueError: It is no percentage; the message says what is allowed.
    """
    found = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('must be a percentage such as "0.5%" or "20%"')
    return round(float(found[1]) / 100, 12)


def show_duration(seconds: float) -> str:
    """Return *seconds* as people read them: ``850 ms``, ``4.2 s``, ``3 m 05 s``, ``2 h 10 m``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} m"


def show_bytes(count: int) -> str:
    """Return *count* bytes as people read them, in decimal units: ``0 B``, ``1.2 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
