"""Log search: lines of all instances on all hosts, and their errors by fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, nextafter
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from turnout.api import cursors, params
from turnout.api.contract import problems_of
from turnout.api.house import Rooms
from turnout.base.errors import InvalidInput
from turnout.monitoring import logsearch
from turnout.monitoring.fingerprints import ErrorGroup
from turnout.wire.logs import ErrorKind, ErrorKinds, FoundLine, FoundLines, LogLevel

router = APIRouter(prefix="/logs", tags=["logs"])

_TEXT = r"^[^\x00]{1,500}$"

OfRelease = Annotated[
    str | None,
    Query(
        alias="release",
        pattern=r"^[0-9a-f]{6,64}$",
        description="Only this release's: its number, or at least 6 digits of it.",
    ),
]
OfHost = Annotated[
    str | None,
    Query(alias="host", pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", description="Only there."),
]
OfInstance = Annotated[
    int | None,
    Query(alias="instance", ge=0, le=1000, description="Only this instance of each host."),
]
OfLevel = Annotated[LogLevel | None, Query(alias="level", description="That level or graver.")]
WithText = Annotated[
    str | None,
    Query(alias="text", pattern=_TEXT, description="Anywhere in the line, in any case."),
]
WithPattern = Annotated[
    str | None,
    Query(alias="pattern", pattern=_TEXT, description="A regular expression in RE2's syntax."),
]


@dataclass(frozen=True)
class _Asked:
    query: logsearch.Query


def _asked(
    project: params.OfProject = None,
    environment: params.OfEnvironment = None,
    release: OfRelease = None,
    host: OfHost = None,
    instance: OfInstance = None,
    level: OfLevel = None,
    text: WithText = None,
    pattern: WithPattern = None,
    since: params.Since = None,
    until: params.Until = None,
    limit: params.Limit = 50,
) -> _Asked:
    if environment is not None and project is None:
        raise InvalidInput(
            "An environment alone is not enough",
            subject=environment,
            why="projects have environments of the same name",
            next_step="Give its 'project' too.",
        )
    return _Asked(
        logsearch.Query(
            scope=None if project is None else f"{project}/{environment or ''}",
            release=release,
            host=host,
            index=instance,
            level=level,
            text=text or "",
            pattern=pattern,
            since=None if since is None else since.timestamp(),
            until=None if until is None else until.timestamp(),
            limit=limit,
        )
    )


Asked = Annotated[_Asked, Depends(_asked)]


@router.get(
    "",
    operation_id="search_logs",
    summary="Search the logs of all instances",
    responses=problems_of(404, 503),
)
async def search_logs(rooms: Rooms, asked: Asked, cursor: params.Cursor = None) -> FoundLines:
    """Return the lines for which everything that is given holds, newest first.

    `complete` is false if older lines may hold more, or a host did not answer.
    """
    wanted, skipped = _behind(asked.query, cursor)
    # One more than asked for tells whether there is another page.
    found = await rooms.coordinator.search_logs(wanted)
    lines = list(reversed(found.hits))[skipped:]
    page = lines[: asked.query.limit]
    more = len(lines) > len(page)
    return FoundLines(
        items=tuple(_line(hit) for hit in page),
        next_cursor=_cursor(page, cursor) if more else None,
        # That older pages hold more is what the cursor says.
        complete=found.complete or (more and not found.silent),
        scanned=found.scanned,
        silent=found.silent,
    )


@router.get(
    "/errors",
    operation_id="list_errors",
    summary="Errors by fingerprint",
    responses=problems_of(404, 503),
)
async def list_errors(rooms: Rooms, asked: Asked) -> ErrorKinds:
    """Return each kind of error once, most frequent first, with its first and last time.

    The stack of an error belongs to it; `text` and `pattern` are looked for in all of it.
    """
    groups, found = await rooms.coordinator.log_errors(asked.query)
    return ErrorKinds(
        items=tuple(_kind(group) for group in groups),
        complete=found.complete,
        scanned=found.scanned,
        silent=found.silent,
    )


def _behind(query: logsearch.Query, cursor: str | None) -> tuple[logsearch.Query, int]:
    """Return the query of the page behind *cursor*, and how many of its lines were on it."""
    values = {**query.__dict__, "limit": query.limit + 1}
    if cursor is None:
        return logsearch.Query(**values), 0
    at, seen = cursors.decode_line(cursor)
    # Lines of the same moment may stand on both sides of the cut, so that moment is read again.
    until = nextafter(at, inf)
    values["until"] = until if query.until is None else min(until, query.until)
    values["limit"] += seen
    return logsearch.Query(**values), seen


def _cursor(page: list[logsearch.Hit], before: str | None) -> str:
    last = page[-1].line.at
    seen = sum(hit.line.at == last for hit in page)
    if before is not None:
        at, earlier = cursors.decode_line(before)
        seen += earlier if at == last else 0
    return cursors.encode_line(last, seen)


def _line(hit: logsearch.Hit) -> FoundLine:
    line = hit.line
    return FoundLine(
        at=_moment(line.at),
        host=hit.host,
        scope=line.scope,
        release=hit.release,
        revision=line.revision,
        instance=line.index,
        stream=line.stream,
        level=hit.level,
        text=line.text,
    )


def _kind(group: ErrorGroup) -> ErrorKind:
    return ErrorKind.model_validate(
        {
            **group.__dict__,
            "first_at": _moment(group.first_at),
            "last_at": _moment(group.last_at),
        }
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
