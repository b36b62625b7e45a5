"""How the pages say things: tones of states, times as people say them, numbers with units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

Tone = Literal["good", "bad", "busy", "wait", "idle"]

_TONES: dict[str, Tone] = {
    # deployments
    "queued": "wait",
    "running": "busy",
    "waiting": "wait",
    "paused": "wait",
    "succeeded": "good",
    "failed": "bad",
    "rolled_back": "bad",
    "aborted": "idle",
    "rejected": "bad",
    # phases and steps
    "pending": "idle",
    "done": "good",
    "undoing": "wait",
    "undone": "idle",
    "undo_failed": "bad",
    "stopped": "idle",
    # environments
    "healthy": "good",
    "degraded": "wait",
    "down": "bad",
    "unknown": "idle",
    # verdicts
    "good": "good",
    "bad": "bad",
    "unavailable": "wait",
}

_UNITS = ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h"), (float("inf"), 86400, "d"))
_RELEASE_DIGITS = 12


@dataclass(frozen=True)
class Moment:
    """A time as people say it, with the exact one beside it."""

    text: str
    exact: str


def tone(word: str) -> Tone:
    """Return the tone of a state; what is not known is idle."""
    return _TONES.get(word, "idle")


def say(word: str) -> str:
    """Return an identifier as people read it."""
    return word.replace("_", " ")


def short(release: str | None) -> str:
    """Return as much of a release's name as tells it from the others."""
    return (release or "")[:_RELEASE_DIGITS]


def moment(at: datetime, now: datetime) -> Moment:
    """Return how long ago *at* was, or in how long it will be."""
    seconds = (now - at).total_seconds()
    exact = at.isoformat(timespec="seconds")
    # Clocks differ by a little: what comes soon is now.
    if -10 < seconds < 5:
        return Moment("just now", exact)
    return Moment(f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}", exact)


def span(seconds: float) -> str:
    """Return a stretch of time in its largest fitting unit, rounded down."""
    for limit, size, unit in _UNITS:
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    raise AssertionError("the last limit is infinite")


def duration(seconds: float | None) -> str:
    """Return how long something took; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 0.1:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float) -> str:
    """Return a number with as many digits as mean something."""
    if value == 0 or (0.01 <= abs(value) < 1e6):
        text = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        return text.replace("-", "\N{MINUS SIGN}")
    digits, _, exponent = f"{value:.1e}".partition("e")
    return f"{digits} · {power(int(exponent))}".replace("-", "\N{MINUS SIGN}")


def power(exponent: float) -> str:
    """Return ten to a power, plain where that is short."""
    whole = round(exponent)
    if -2 <= whole <= 3:
        return f"{10.0**whole:g}"
    digits = str(whole).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"


def percent(share: float) -> str:
    """Return a share of 0 to 1 as percent."""
    value = share * 100
    if 0 < value < 0.01:
        return "under 0.01 %"
    return f"{value:.3g} %" if value < 99.95 else f"{value:.0f} %"


def web_address(url: str) -> str:
    """Return *url* if a browser may be led there, else nothing."""
    return url if urlsplit(url).scheme in ("http", "https") else ""
