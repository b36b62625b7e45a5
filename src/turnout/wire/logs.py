"""Lines of instances of all hosts as a search finds them, and their errors by fingerprint."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from turnout.wire.model import Report

LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class FoundLine(Report):
    """One line that an instance wrote.

    Attributes:
        at: When it was written.
        host: Where.
        scope: ``project/environment``.
        release: What wrote it.
        instance: The number of the instance on its host.
        stream: ``out``, ``err``, or ``turnout`` for what Turnout says of the instance.
        level: What the line says of itself, if it does.
    """

    at: datetime
    host: str
    scope: str
    release: str
    revision: str
    instance: int
    stream: str
    level: str | None = None
    text: str


class FoundLines(Report):
    """A page of what a search found, newest first.

    Attributes:
        complete: False if lines were left out: the time was up, or a host did not answer.
        scanned: Lines that were looked at.
        silent: Hosts that could not be asked.
    """

    items: tuple[FoundLine, ...]
    next_cursor: str | None = None
    complete: bool = True
    scanned: int = 0
    silent: tuple[str, ...] = ()


class ErrorKind(Report):
    """All occurrences of one error.

    Attributes:
        fingerprint: The same on every host and for every release.
        title: The message without what differs from time to time.
        count: How often it was seen.
        revisions: Where, with how often in each.
        hosts: Likewise.
        example: The newest occurrence as it was written, with its stack.
    """

    fingerprint: str
    title: str
    level: str
    count: int
    first_at: datetime
    last_at: datetime
    revisions: dict[str, int] = Field(default_factory=dict)
    hosts: dict[str, int] = Field(default_factory=dict)
    example: str = ""


class ErrorKinds(Report):
    """The errors that a search found, most frequent first, on a single page."""

    items: tuple[ErrorKind, ...]
    next_cursor: None = None
    complete: bool = True
    scanned: int = 0
    silent: tuple[str, ...] = ()
