"""Header rules as Envoy expressions: pure functions.

Rules belong to one backend, while a route is chosen before the backend is.  So a rule is no
route but a header of the weighted cluster, whose value is an expression (CEL) over the path:
the value of the first rule that matches, or nothing, and then Envoy leaves the header alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from turnout.routers.port import HeaderRule

# Headers about caching that are meant for the file and must not stick to an error page.
_FOR_SUCCESS_ONLY = frozenset(("cache-control", "cdn-cache-control", "expires", "pragma"))

# What RFC 3986 allows in a path as it is, and "%" for a pattern that is encoded already.
_PATH_CHARACTERS = "/%:@!$&'()+,;=~-._"


def rule_headers(rules: Sequence[HeaderRule]) -> list[dict[str, Any]]:
    """Return Envoy's ``response_headers_to_add`` for *rules*, one entry a header name."""
    by_name: dict[str, list[HeaderRule]] = {}
    for rule in rules:
        by_name.setdefault(rule.name.lower(), []).append(rule)
    return [overwrite(name, f"%CEL({_choose(name, of)})%") for name, of in by_name.items()]


def overwrite(name: str, value: str) -> dict[str, Any]:
    """Return an entry that sets *name* to *value*, whatever was there before."""
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def pattern_to_regex(pattern: str) -> str:
    """Return the RE2 expression for a whole path; ``*`` stands for any characters.

    A path travels with its odd characters percent-encoded, so the pattern is encoded likewise.
    """
    parts = (re.escape(quote(part, safe=_PATH_CHARACTERS)) for part in pattern.split("*"))
    return "^(?s:" + ".*".join(parts) + ")$"


def _choose(name: str, rules: Sequence[HeaderRule]) -> str:
    expression = "''"
    for rule in reversed(rules):
        matches = f"request.url_path.matches({_literal(pattern_to_regex(rule.pattern))})"
        expression = f"({matches} ? {_literal(rule.value)} : {expression})"
    if name in _FOR_SUCCESS_ONLY:
        expression = f"(response.code < 400 ? {expression} : '')"
    return expression


def _literal(text: str) -> str:
    """Return *text* as a CEL string in which neither Envoy nor CEL finds anything to interpret."""
    return "'" + "".join(c if c.isascii() and c.isalnum() else _escape(c) for c in text) + "'"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
