"""Errors of applications by fingerprint: what differs from time to time is taken out first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from turnout.monitoring.loglevels import at_least, fields_of, level_of
from turnout.wire.agent import LogLine

_MOST_LINES = 200
"""Lines of one error; a longer one is cut."""
_MOST_CHARS = 2000
_FRAME_CHARS = 500
_FRAMES = 5
"""Innermost frames that tell one error from another; those around them change with the caller."""

# What is replaced, in this order: the longer forms hold the shorter ones.
_NORMAL = tuple(
    (re.compile(pattern, re.I), mark)
    for pattern, mark in (
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
        (r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,500}", "<url>"),
        (r"\b[\w.+-]{1,64}@[\w-]{1,64}(\.[\w-]{1,64})+", "<email>"),
        (r"\"[^\"\n]{0,500}\"|'[^'\n]{0,500}'|`[^`\n]{0,500}`", "<str>"),
        (r"(?<![\w<])(/[\w.@%+~-]{1,255}){2,40}/?", "<path>"),
        (r"\b\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?\b", "<address>"),
        (r"\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "<hex>"),
        (r"(?<![A-Za-z_<])[-+]?\d+([.,]\d+)*", "<n>"),
    )
)
_PYTHON_FRAME = re.compile(r'^\s*File "([^"]+)", line \d+, in (\S+)')
_JAVA_FRAME = re.compile(r"^\s+at ([\w.$<>]+)\((?:[\w.$-]+)(?::\d+)?\)")
_NODE_FRAME = re.compile(r"^\s+at (?:async )?(?:(.+?) \()?(?:file://)?([^():]+):\d+(?::\d+)?\)?$")
_CONTINUES = re.compile(
    r"^\s+\S|^Caused by: |^\s*\.\.\. \d+ more|^During handling of the above|^The above exception was"
    r"|^\s*$|^goroutine \d+ \[|^\}"
)
_PYTHON_BEGIN = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Occurrence:
    """One error as it was written: one line, or a line with its stack."""

    host: str
    line: LogLine
    text: str
    level: str


@dataclass(frozen=True)
class ErrorGroup:
    """All occurrences of one error.

    Attributes:
        fingerprint: 16 hexadecimal digits, the same on every host and for every release.
        title: The normalised message.
        count: How often it was seen.
        first_at: When it was seen first, seconds since 1970.
        last_at: When it was seen last.
        revisions: Where, with how often in each.
        hosts: Likewise.
        example: The newest occurrence as it was written.
    """

    fingerprint: str
    title: str
    level: str
    count: int
    first_at: float
    last_at: float
    revisions: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    example: str = ""


def grouped(lines: Iterable[tuple[str, LogLine]]) -> tuple[ErrorGroup, ...]:
    """Return the errors among *lines* (host and line, oldest first), most frequent first."""
    groups: dict[str, ErrorGroup] = {}
    for one in occurrences(lines):
        mark, title = fingerprint(one.text)
        known = groups.get(mark) or ErrorGroup(mark, title, one.level, 0, one.line.at, one.line.at)
        groups[mark] = replace(
            known,
            count=known.count + 1,
            first_at=min(known.first_at, one.line.at),
            last_at=max(known.last_at, one.line.at),
            revisions=_counted(known.revisions, one.line.revision),
            hosts=_counted(known.hosts, one.host),
            example=one.text if one.line.at >= known.last_at else known.example,
        )
    return tuple(sorted(groups.values(), key=lambda group: (-group.count, -group.last_at)))


def occurrences(lines: Iterable[tuple[str, LogLine]]) -> list[Occurrence]:
    """Return every error among *lines*, each with the lines of its stack."""
    found: list[tuple[str, list[LogLine], str]] = []
    open_ones: dict[tuple[str, str, int, str], tuple[list[LogLine], bool]] = {}
    for host, line in lines:
        where = (host, line.revision, line.index, line.stream)
        stack, in_python = open_ones.get(where, ([], False))
        if stack and len(stack) < _MOST_LINES and (in_python or _CONTINUES.match(line.text)):
            stack.append(line)
            # The exception itself ends a Python stack, at the margin where the stack began.
            ends = in_python and not _CONTINUES.match(line.text)
            ends = ends and not line.text.startswith(_PYTHON_BEGIN)
            again = line.text.startswith(_PYTHON_BEGIN)
            open_ones[where] = (stack, (in_python and not ends) or again)
            continue
        if stack and line.text.startswith(_PYTHON_BEGIN) and not stack[-1].text.strip():
            stack.append(line)  # a chained exception, behind its introduction and a blank line
            open_ones[where] = (stack, True)
            continue
        level = level_of(line.text)
        if level is None or not at_least(level, "error"):
            open_ones.pop(where, None)
            continue
        stack = [line]
        open_ones[where] = (stack, line.text.startswith(_PYTHON_BEGIN))
        found.append((host, stack, level))
    return [
        Occurrence(host, stack[0], "\n".join(line.text for line in stack).rstrip(), level)
        for host, stack, level in found
    ]


def fingerprint(text: str) -> tuple[str, str]:
    """Return the fingerprint of an error and its normalised message."""
    message, stack = _parts(text)
    title = normalised(message)
    parts = [title, *_frames(stack)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:16], title


def normalised(message: str) -> str:
    """Return *message* without what differs from time to time."""
    text = message[:_MOST_CHARS]
    for pattern, mark in _NORMAL:
        text = pattern.sub(mark, text)
    return " ".join(text.split())


def _parts(text: str) -> tuple[str, Sequence[str]]:
    """Return the message and the lines of the stack."""
    document = fields_of(text)
    if document is not None:
        error = document.get("err") or document.get("error") or document.get("exception")
        stack = document.get("stack") or document.get("stack_trace")
        if isinstance(error, dict):
            stack = stack or error.get("stack")
            error = error.get("message") or error.get("type")
        said = document.get("msg") or document.get("message") or document.get("event")
        message = ": ".join(str(part) for part in (said, error) if isinstance(part, str))
        return message or text, str(stack or "").splitlines()
    lines = text.splitlines() or [""]
    if lines[0].startswith(_PYTHON_BEGIN):
        at_margin = [line for line in lines[1:] if line and not line[0].isspace()]
        return (at_margin[-1] if at_margin else lines[0]), lines
    return lines[0], lines[1:]


def _frames(stack: Sequence[str]) -> list[str]:
    # Cut, so that no line can make a pattern try for long.
    stack = [line[:_FRAME_CHARS] for line in stack]
    python = [found for line in stack if (found := _PYTHON_FRAME.match(line))]
    if python:
        # The innermost frame comes last here and first everywhere else.
        return [f"{_file(found[1])} {found[2]}" for found in python[-_FRAMES:]]
    frames: list[str] = []
    for line in stack:
        if found := _JAVA_FRAME.match(line):
            frames.append(found[1])
        elif found := _NODE_FRAME.match(line):
            frames.append(f"{_file(found[2])} {found[1] or ''}")
    return frames[:_FRAMES]


def _file(path: str) -> str:
    """Return the last two parts of a path: those before it differ from host to host."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _counted(known: dict[str, int], name: str) -> dict[str, int]:
    return {**known, name: known.get(name, 0) + 1}
