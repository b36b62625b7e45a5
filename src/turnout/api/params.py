"""Parameters that several addresses share, with what they may hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Path, Query
from pydantic import AfterValidator

from turnout.wire.api import Status

_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"

Project = Annotated[
    str, Path(pattern=_NAME, description="The project's name.", examples=["storefront"])
]
Environment = Annotated[
    str, Path(pattern=_NAME, description="The environment's name.", examples=["production"])
]
Release = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{64}$",
        description="The release: SHA-256 of its manifest, in hexadecimal.",
        examples=["0" * 64],
    ),
]
Deployment = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="The deployment's identifier.",
        examples=["dep-01k3y6p0qsx8m4abcd"],
    ),
]
Host = Annotated[str, Path(pattern=_NAME, description="The host's name.", examples=["local"])]

OfProject = Annotated[
    str | None, Query(alias="project", pattern=_NAME, description="Only this project's.")
]
OfEnvironment = Annotated[
    str | None, Query(alias="environment", pattern=_NAME, description="Only this environment's.")
]
OfStatus = Annotated[Status | None, Query(alias="status", description="Only in this status.")]
Cursor = Annotated[
    str | None,
    Query(
        alias="cursor",
        pattern=r"^[\x21-\x7e]{1,256}$",
        description="The `next_cursor` of the page before; the first page without it.",
    ),
]
Limit = Annotated[
    int, Query(alias="limit", ge=1, le=200, description="At most so many items on a page.")
]
After = Annotated[
    int | None,
    Query(
        alias="after",
        ge=0,
        le=2**53,
        description="The number of the last event that you have; `Last-Event-ID` goes before it.",
    ),
]


def _reachable(moment: datetime) -> datetime:
    # Moments without an offset are UTC.  Beyond these years arithmetic on them overflows.
    if not 1970 <= moment.year <= 9998:
        raise ValueError("must be a moment from 1970 to 9998")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Since = Annotated[
    datetime | None,
    AfterValidator(lambda moment: moment and _reachable(moment)),
    Query(alias="since", description="Not before this moment (RFC 3339)."),
]
Until = Annotated[
    datetime | None,
    AfterValidator(lambda moment: moment and _reachable(moment)),
    Query(alias="until", description="Before this moment (RFC 3339)."),
]


def _documented(
    _key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Chosen by you; the same key with the same request gets the same answer.",
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            examples=["0b7f4e0e-6a52-4a7e-9d0c-1f2a3b4c5d6e"],
        ),
    ] = None,
) -> None:
    """Put the header into the contract; :mod:`turnout.api.idempotency` obeys it."""


idempotent = Depends(_documented)


def _resumable(
    _seq: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="The number of the last event that you have.",
            pattern=r"^\s*[0-9]{0,16}\s*$",
        ),
    ] = None,
) -> None:
    """Put the header into the contract; :func:`turnout.api.streams.start_of` reads it."""


resumable = Depends(_resumable)
