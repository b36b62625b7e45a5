"""Where each value of a JSON text stands: line and column by path, as for a TOML text."""

from __future__ import annotations

import json
import re

from turnout.cli.locator import Path, Position, Positions

_BLANK = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def locate(text: str) -> Positions:
    """Return the positions of all keys and values in *text*.

    Args:
        text: A document that :mod:`json` accepts.
    """
    found = Positions()
    _walk(text, _skip(text, 0), (), found)
    return found


def _walk(text: str, at: int, path: Path, found: Positions) -> int:
    """Note the value that begins at *at* and all inside it; return where it ends."""
    found.values[path] = _position(text, at)
    if text[at] not in "{[":
        return _DECODER.raw_decode(text, at)[1]
    closing, index = ("}" if text[at] == "{" else "]"), 0
    at = _skip(text, at + 1)
    while text[at] != closing:
        key: str | int = index
        if closing == "}":
            key, end = _DECODER.raw_decode(text, at)
            found.keys[(*path, key)] = _position(text, at)
            at = _skip(text, _skip(text, end) + 1)
        at = _skip(text, _walk(text, at, (*path, key), found))
        index += 1
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _position(text: str, at: int) -> Position:
    return Position(text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1)
