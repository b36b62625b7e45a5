"""Who gets which release while a candidate has a share: slots, cookies and testers.

A client gets a slot from 0 to 99 with its first answer.  The candidate owns the slots below its
weight, the baseline those at the upper end; so a higher weight only ever adds clients.  Pure
functions.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from turnout.routers.port import Site, Tester

COOKIE = "turnout"
SLOTS = 100
_ATTRIBUTES = "Path=/; HttpOnly; SameSite=Lax"


def slots(site: Site) -> dict[str, range]:
    """Return revision to the slots that it owns, in their order; empty if clients are not told
    apart, which is also so while the candidate has no weight."""
    split = site.split
    if split is None or not split.sticky or not site.weights.get(split.candidate):
        return {}
    rest = sorted(r for r in site.weights if r not in (split.candidate, split.baseline))
    last = [split.baseline] if split.baseline else []
    found: dict[str, range] = {}
    start = 0
    for revision in (split.candidate, *rest, *last):
        weight = site.weights.get(revision, 0)
        if weight:
            found[revision] = range(start, start + weight)
            start += weight
    return found


def cookie_value(candidate: str, slot: int) -> str:
    """Return the cookie's value; another candidate makes it void."""
    return f"{candidate[:8]}.{slot}"


def set_cookie(candidate: str, slot: int) -> dict[str, Any]:
    """Return Envoy's entry that gives a client its slot; cookies of the app stay."""
    value = f"{COOKIE}={cookie_value(candidate, slot)}; {_ATTRIBUTES}"
    return {"header": {"key": "set-cookie", "value": value}}


def has_slot(candidate: str, owned: Collection[int]) -> dict[str, Any]:
    """Return the match for clients that have one of the slots *owned*."""
    regex = rf"{candidate[:8]}\.(?:{_any_of(owned)})"
    return _cookie(COOKIE, {"safe_regex": {"regex": regex}})


def is_tester(tester: Tester) -> dict[str, Any]:
    """Return the match for requests that *tester* marks."""
    exact = {"exact": tester.value}
    if tester.cookie is not None:
        return _cookie(tester.cookie, exact)
    how = {"present_match": True} if tester.value is None else {"string_match": exact}
    return {"prefix": "/", "headers": [{"name": tester.header, **how}]}


def _cookie(name: str, how: dict[str, Any]) -> dict[str, Any]:
    return {"prefix": "/", "cookies": [{"name": name, "string_match": how}]}


def _any_of(owned: Collection[int]) -> str:
    """Return a regular expression for the numbers *owned*, whole tens as one."""
    parts = []
    for tens in range(SLOTS // 10):
        digits = "".join(str(n % 10) for n in sorted(owned) if n // 10 == tens)
        if digits:
            last = "[0-9]" if len(digits) == 10 else f"[{digits}]"
            parts.append(f"{tens or ''}{last}")
    return "|".join(parts)
