"""What each measure of a verdict says, as a row that people read.

The evidence of a measure is free in its form; what is known of it becomes a column, all the rest
a list of names and texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from turnout.web.words import Tone, number, percent, say, tone

Facts = tuple[tuple[str, str], ...]

_SHARES = ("rate", "share", "alpha", "beta", "increase", "asked", "seen")
_SHOWN = frozenset(
    {"verdict", "reason", "candidate", "control", "e", "threshold", "max_increase", "dry_run"}
)
_DEEPEST = 3


@dataclass(frozen=True)
class Measure:
    """What one measure says.

    Attributes:
        candidate: Its figure with the confidence band, and what it was counted from.
        control: Likewise, empty without one.
        e_value: The evidence that the candidate is worse.
        line: From where on that means *bad*.
        allowed: How much worse it may be.
        decides: False for one that is only shown.
    """

    name: str
    verdict: str
    tone: Tone
    reason: str
    candidate: str
    control: str
    e_value: str
    line: str
    allowed: str
    decides: bool
    rest: Facts


def measures(metrics: Mapping[str, Mapping[str, Any]]) -> tuple[Measure, ...]:
    """Return a row for each measure of a verdict."""
    return tuple(_measure(name, values) for name, values in metrics.items())


def facts(values: Mapping[str, Any]) -> Facts:
    """Return nested values as a flat list of names and texts, with units by their names."""
    return tuple(_flat("", values, 0))


def _measure(name: str, values: Mapping[str, Any]) -> Measure:
    word = str(values.get("verdict", ""))
    return Measure(
        name=say(name),
        verdict=word,
        tone=tone(word),
        reason=str(values.get("reason", "")),
        candidate=_arm(values.get("candidate")) or _value(values),
        control=_arm(values.get("control")),
        e_value=_number(values.get("e")),
        line=_number(values.get("threshold")),
        allowed=_allowed(values),
        decides=not values.get("dry_run"),
        rest=facts({key: value for key, value in values.items() if key not in _SHOWN}),
    )


def _arm(arm: Any) -> str:
    if not isinstance(arm, Mapping):
        return ""
    requests = _number(arm.get("requests")) or "0"
    if _is_number(arm.get("rate")):
        band = _band(arm, percent)
        return f"{percent(arm['rate'])}{band}; {_number(arm.get('count'))} of {requests}"
    if _is_number(arm.get("quantile")):
        return f"{_ms(arm['quantile'])}{_band(arm, _ms)}; {requests} requests"
    return f"{requests} requests"


def _value(values: Mapping[str, Any]) -> str:
    return _number(values.get("value")) + _band(values, number)


def _band(values: Mapping[str, Any], text: Callable[[float], str]) -> str:
    low, high = values.get("low"), values.get("high")
    if _is_number(low) and _is_number(high):
        return f" ({text(low)} to {text(high)})"
    if _is_number(low):
        return f" (at least {text(low)})"
    return f" (at most {text(high)})" if _is_number(high) else ""


def _allowed(values: Mapping[str, Any]) -> str:
    increase = values.get("max_increase")
    if not _is_number(increase):
        most = values.get("max")
        return f"at most {number(most)}" if _is_number(most) else ""
    if values.get("kind") == "errors":
        return f"{number(increase * 100)} points more"
    return f"{percent(increase)} more"


def _flat(prefix: str, values: Mapping[str, Any], depth: int) -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix} {say(str(key))}".strip()
        if isinstance(value, Mapping):
            if depth < _DEEPEST:
                yield from _flat(name, value, depth + 1)
        elif value is not None and value not in ("", (), []):
            yield name, _text(str(key), value)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return "without bound"
        if key.endswith(_SHARES) and 0 <= value <= 1:
            return percent(value)
        return number(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_text(key, part) for part in value if not isinstance(part, Mapping)]
        return ", ".join(parts)[:300]
    return str(value)[:300]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> str:
    return number(value) if _is_number(value) else ""


def _ms(value: float) -> str:
    return f"{number(value)} ms"
