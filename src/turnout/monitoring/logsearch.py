"""Searching the logs of instances on all hosts, which keep them: bounded, the newest first.

The newest lines of every place are read first.  Only when they do not hold enough are the older
ones read, page by page, until the time or the number of lines is used up; then the answer says
that it is not complete.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import structlog

from turnout.base import clock
from turnout.base.errors import InvalidInput, TurnoutError
from turnout.monitoring.fingerprints import ErrorGroup, grouped
from turnout.monitoring.loglevels import LEVELS, at_least, level_of
from turnout.monitoring.patterns import Pattern, compiled
from turnout.wire.agent import LogLine, LogPage, LogsWanted

log = structlog.get_logger(__name__)

_TAIL = 5000
_MOST_SCANNED = 500_000
"""Lines of one search over all places."""
_MOST_CHARS = 64 << 20
"""Characters of one search's older lines over all places; those that are found are kept."""
_OLDEST = "0.0.0"
"""A cursor before the first line of every instance."""
_AT_ONCE = 4


@dataclass(frozen=True)
class Place:
    """One revision on one host."""

    host: str
    scope: str
    revision: str
    release: str = ""


@dataclass(frozen=True)
class Query:
    """What is looked for; everything that is given must hold.

    Attributes:
        scope: ``project/environment``, or ``project/`` for all environments of it.
        release: Or a beginning of it.
        text: Anywhere in the line, in any case.
        pattern: In RE2's syntax.
        level: That level or graver.
        since: Seconds since 1970.
        until: Likewise; not itself.
        limit: The newest so many lines.
    """

    scope: str | None = None
    release: str | None = None
    revision: str | None = None
    host: str | None = None
    index: int | None = None
    text: str = ""
    pattern: str | None = None
    level: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 200

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise InvalidInput(
                "There is no such level",
                subject=self.level[:40],
                next_step=f"Use one of: {', '.join(LEVELS)}.",
            )


@dataclass(frozen=True)
class Hit:
    """A line that was found."""

    host: str
    release: str
    line: LogLine
    level: str | None


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: Oldest first.
        scanned: Lines that were looked at.
        complete: False if older lines may hold more.
        silent: Hosts that could not be asked.
    """

    hits: tuple[Hit, ...]
    scanned: int
    complete: bool
    silent: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Share:
    """How much of one place is looked at behind its newest lines."""

    lines: int
    chars: int


Reader = Callable[[Place, LogsWanted], Awaitable[LogPage]]


async def search(
    places: Iterable[Place], query: Query, read: Reader, deadline: float = 10.0
) -> Found:
    """Return the newest lines that a query asks for.

    Args:
        places: Every revision on every host that has logs.
        query: What is looked for.
        read: Reads a page of a place.
        deadline: Seconds after which what was found by then is the answer.

    Raises:
        InvalidInput: The pattern is none.
    """
    pattern = compiled(query.pattern) if query.pattern else None
    chosen = [place for place in places if concerns(query, place)]
    end = clock.monotonic() + deadline
    many = max(1, len(chosen))
    share = _Share(max(_TAIL, _MOST_SCANNED // many), _MOST_CHARS // many)
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(place: Place) -> Found:
        async with turns:
            return await _in_place(place, query, pattern, read, end, share)

    parts = await asyncio.gather(*(one(place) for place in chosen))
    hits = sorted((hit for part in parts for hit in part.hits), key=lambda hit: hit.line.at)
    kept = hits[-query.limit :] if query.limit else []
    return Found(
        tuple(kept),
        sum(part.scanned for part in parts),
        all(part.complete for part in parts) and len(kept) == len(hits),
        tuple(sorted({host for part in parts for host in part.silent})),
    )


async def errors(
    places: Iterable[Place], query: Query, read: Reader, deadline: float = 10.0
) -> tuple[tuple[ErrorGroup, ...], Found]:
    """Return the errors that a query's places wrote, by fingerprint, and what was looked at.

    The lines of a stack do not tell a level, so all lines of the time are read; text and
    pattern are looked for in the whole error.
    """
    wide = replace(query, level=None, text="", pattern=None, limit=_MOST_SCANNED)
    found = await search(places, wide, read, deadline)
    groups = await asyncio.to_thread(grouped, [(hit.host, hit.line) for hit in found.hits])
    pattern = compiled(query.pattern) if query.pattern else None
    return (
        tuple(
            group
            for group in groups
            if query.text.casefold() in group.example.casefold()
            and (pattern is None or pattern.matches(group.example))
            and (query.level is None or at_least(group.level, query.level))
        )[: query.limit],
        found,
    )


def concerns(query: Query, place: Place) -> bool:
    """Return whether a query is about a place."""
    scope = query.scope
    return (
        (
            scope is None
            or place.scope == scope
            or (scope.endswith("/") and place.scope.startswith(scope))
        )
        and query.revision in (None, place.revision)
        and query.host in (None, place.host)
        and (query.release is None or place.release.startswith(query.release))
    )


def matches(query: Query, line: LogLine, pattern: Pattern | None) -> bool:
    """Return whether a line is one that a query asks for."""
    return (
        (query.since is None or line.at >= query.since)
        and (query.until is None or line.at < query.until)
        and query.index in (None, line.index)
        and (not query.text or query.text.casefold() in line.text.casefold())
        and (pattern is None or pattern.matches(line.text))
        and (query.level is None or at_least(level_of(line.text), query.level))
    )


async def _in_place(
    place: Place, query: Query, pattern: Pattern | None, read: Reader, end: float, share: _Share
) -> Found:
    wanted = LogsWanted(scope=place.scope, revision=place.revision, tail=_TAIL)
    older: deque[Hit] = deque(maxlen=max(1, query.limit))
    newest: list[Hit] = []
    scanned = chars = 0
    try:
        async with asyncio.timeout(max(0.1, end - clock.monotonic())):
            tail = (await read(place, wanted)).lines
            scanned += len(tail)
            # In a thread: a page of long lines takes half a second.
            newest = await asyncio.to_thread(_hits, place, query, pattern, tail)
            edge = tail[0].at if tail else 0.0
            whole = len(tail) < _TAIL or (query.since is not None and edge < query.since)
            if whole or len(newest) >= query.limit:
                return Found(tuple(newest[-query.limit :]), scanned, whole)
            cursor = _OLDEST
            while scanned < share.lines and chars < share.chars:
                page = await read(place, wanted.model_copy(update={"cursor": cursor}))
                before = [line for line in page.lines if line.at < edge]
                scanned += len(page.lines)
                chars += sum(len(line.text) for line in page.lines)
                older += await asyncio.to_thread(_hits, place, query, pattern, before)
                # Instances are paged side by side, so the time of all has come when none is left.
                if page.cursor == cursor or (page.lines and not before) or not page.lines:
                    whole = True
                    break
                cursor = page.cursor
    except TimeoutError:
        return Found((*older, *newest), scanned, False)
    except (TurnoutError, OSError) as error:
        log.warning("logsearch.host_silent", host=place.host, why=str(error))
        return Found((*older, *newest), scanned, False, (place.host,))
    return Found((*older, *newest)[-query.limit :], scanned, whole)


def _hits(
    place: Place, query: Query, pattern: Pattern | None, lines: Sequence[LogLine]
) -> list[Hit]:
    return [
        Hit(place.host, place.release, line, level_of(line.text))
        for line in lines
        if matches(query, line, pattern)
    ]
