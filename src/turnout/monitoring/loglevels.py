"""How grave a line of an application's log is, guessed from its JSON fields or its words."""

from __future__ import annotations

import json
import re
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")

_NAMES = {
    "trace": "debug", "verbose": "debug", "silly": "debug", "debug": "debug", "dbg": "debug",
    "info": "info", "information": "info", "notice": "info", "inf": "info", "log": "info",
    "warn": "warning", "warning": "warning", "wrn": "warning",
    "error": "error", "err": "error", "severe": "error",
    "critical": "critical", "crit": "critical", "fatal": "critical", "panic": "critical",
    "emerg": "critical", "emergency": "critical", "alert": "critical",
}  # fmt: skip
_FIELDS = ("level", "severity", "lvl", "log.level", "levelname", "loglevel", "@level")
# Numbers as pino and bunyan write them.
_NUMBERS = ((60, "critical"), (50, "error"), (40, "warning"), (30, "info"), (10, "debug"))
_HEAD_CHARS = 200
_KEYED = re.compile(r"\b(?:level|severity|lvl)[=:]\s*[\"']?([A-Za-z]+)", re.I)
_SHOUTED = re.compile(
    r"(?<![A-Za-z])(TRACE|VERBOSE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|CRITICAL|CRIT"
    r"|FATAL|PANIC|EMERG|ALERT)(?![A-Za-z])"
)
_BRACKETED = re.compile(
    r"[\[<(]\s*(trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|panic|alert"
    r"|emerg)\s*[\])>:]|^(trace|debug|info|notice|warn|warning|error|critical|fatal|panic):",
    re.I,
)
_GLOG = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
_GLOG_NAMES = {"I": "info", "W": "warning", "E": "error", "F": "critical"}
_TRACE = re.compile(
    r"^Traceback \(most recent call last\)|^(?:Uncaught |Unhandled )?[\w.$]*(?:Error|Exception)\b"
    r"|^panic: |^thread '.*' panicked|^Exception in thread "
)


def level_of(text: str) -> str | None:
    """Return one of :data:`LEVELS`, or None for a line that does not tell."""
    document = fields_of(text)
    if document is not None:
        return _of_document(document)
    head = text[:_HEAD_CHARS]
    if _TRACE.search(head):
        return "error"
    if found := _GLOG.match(head):
        return _GLOG_NAMES[found[1]]
    for pattern in (_KEYED, _BRACKETED, _SHOUTED):
        if found := pattern.search(head):
            return _NAMES.get(next(group for group in found.groups() if group).lower())
    return None


def at_least(level: str | None, wanted: str) -> bool:
    """Return whether a line's level is *wanted* or graver; one that does not tell is ``info``."""
    return LEVELS.index(level or "info") >= LEVELS.index(wanted)


def fields_of(text: str) -> dict[str, Any] | None:
    """Return the fields of a line that is a JSON object, None for any other."""
    if not (text.startswith("{") and text.rstrip().endswith("}")):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _of_document(document: dict[str, Any]) -> str | None:
    inner = document.get("log")
    nested = inner.get("level") if isinstance(inner, dict) else None
    for value in (*(document.get(name) for name in _FIELDS), nested):
        if isinstance(value, str) and (level := _NAMES.get(value.strip().lower())):
            return level
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return next((name for least, name in _NUMBERS if value >= least), None)
    return None
