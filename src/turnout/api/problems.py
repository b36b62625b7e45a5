"""Problems: every error of the API as an RFC 9457 document.

``type`` is ``urn:turnout:problem:<name>``; the names of our own errors are those of
:mod:`turnout.base.errors`, the others are the HTTP errors in :data:`TITLES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from turnout.base.errors import InvalidInput, TurnoutError
from turnout.wire.api import Problem

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:turnout:problem:"

TITLES = {
    "invalid-input": "The request is not valid",
    "not-found": "Not found",
    "refused": "Not allowed",
    "unauthenticated": "A token is needed",
    "conflict": "Something else holds what is needed",
    "impossible": "Things stand so that it cannot be done",
    "unreachable": "A server or host cannot be reached",
    "failed": "What was asked did not work",
    "untrusted": "A signature or digest did not match",
    "exhausted": "A resource ran out",
    "aborted": "Called off",
    "bad-request": "The request cannot be read",
    "method-not-allowed": "This address does not know that method",
    "timeout": "The request took too long to arrive",
    "too-large": "The request is too large",
    "unsupported-media-type": "The content type is not the expected one",
    "misdirected": "This server does not answer to that host name",
    "internal": "The server made a mistake",
    "error": "Something went wrong",
}

_MOST_ERRORS = 10

_HTTP = {
    404: ("not-found", "There is nothing at this address"),
    405: ("method-not-allowed", "{method} is not possible here"),
    408: ("timeout", "The body did not arrive in time"),
    413: ("too-large", "The body is longer than this address takes"),
}


class BadRequest(InvalidInput):
    """The request breaks the rules of HTTP or JSON."""

    status, problem = 400, "bad-request"


class TooLarge(InvalidInput):
    """The body is longer than this address takes."""

    status, problem = 413, "too-large"


class WrongMediaType(InvalidInput):
    """The body is of another type than this address takes."""

    status, problem = 415, "unsupported-media-type"


class Misdirected(InvalidInput):
    """The Host header names another server, as a rebound DNS name would."""

    status, problem = 421, "misdirected"


class _Plain(TurnoutError):
    """An error of the web framework; status and problem are set on the instance."""

    status: int  # type: ignore[misc]
    problem: str  # type: ignore[misc]


def document_of(error: TurnoutError, path: str = "") -> Problem:
    """Return the problem document of *error* that happened at *path*."""
    return Problem(
        type=TYPE_PREFIX + error.problem,
        title=TITLES.get(error.problem, TITLES["error"]),
        status=error.status,
        detail=str(error),
        instance=path,
        subject=error.subject,
        next_step=error.next_step,
        facts=error.facts,
    )


def answer(
    error: TurnoutError, path: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return *error* as a response, with the headers its status asks for."""
    extra = dict(headers or {})
    if error.status == 401:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="turnout"')
    if error.status == 503:
        extra.setdefault("Retry-After", "2")
    return Response(
        # A hostile path may hold lone surrogates; they must not break the answer about it.
        document_of(error, path.encode("utf-8", "replace").decode()).model_dump_json(),
        status_code=error.status,
        headers=extra,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Make *app* answer every error with a problem document."""
    app.add_exception_handler(TurnoutError, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def sentence_of(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return what is wrong with a request, as field and cause, from pydantic's list of errors."""
    first = errors[0]
    place, *inner = first.get("loc", ()) or ("body",)
    if first.get("type") == "json_invalid":
        return "The body is not JSON", str(first.get("ctx", {}).get("error", ""))
    if place == "body" and not inner and first.get("type") == "missing":
        return "The request has no body", "a JSON document is expected"
    field = ".".join(str(part) for part in inner)
    where = {"body": "field", "query": "query parameter", "path": "address part"}.get(
        str(place), str(place)
    )
    what = f"The {where} {_short(field)!r} is not valid" if field else "The body is not valid"
    cause = re.sub(r"^Value error, ", "", str(first.get("msg", "")))
    if first.get("type") == "extra_forbidden":
        cause = "there is no such field"
    elif first.get("type") == "missing":
        cause = "it is required"
    more = len(errors) - 1
    return what, _short(cause, 400) + (f"; and {more} more" if more else "")


def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, TurnoutError)
    return answer(error, request.url.path)


def answer_http(error: HTTPException, method: str, path: str) -> Response:
    """Return an error that the web framework raised as a problem response."""
    status = error.status_code
    problem, what = _HTTP.get(status, ("", ""))
    # A plain error takes any status; the classes above stand for those we raise ourselves.
    known = _Plain(
        (what or str(error.detail) or "Something went wrong").format(method=_short(method, 20)),
        next_step="The API is described at /api/v1/openapi.json.",
    )
    known.status = status
    known.problem = problem or ("bad-request" if 400 <= status < 500 else "error")
    return answer(known, path, error.headers)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer_http(error, request.method, request.url.path)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    what, why = sentence_of(errors)
    # The values that were sent are left out: one of them may be a secret in the wrong place.
    facts = [
        {
            "field": _short(".".join(str(part) for part in found.get("loc", ())), 200),
            "message": _short(str(found.get("msg", "")), 400),
        }
        for found in errors[:_MOST_ERRORS]
    ]
    return answer(
        InvalidInput(
            what,
            why=why,
            next_step="Correct it and send the request again.",
            facts={"errors": facts},
        ),
        request.url.path,
    )


def _short(text: str, length: int = 120) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= length else clean[: length - 1] + "…"
