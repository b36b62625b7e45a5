"""The contract: the OpenAPI document, with every problem and without what is not ours."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from turnout.api.problems import MEDIA_TYPE
from turnout.wire import sse
from turnout.wire.api import Event, LogEntry, Page, Problem

PREFIX = "/api/v1"

_MEANINGS = {
    400: "The request breaks the rules of HTTP or JSON.",
    401: "No token, or one that is not valid.",
    403: "Not allowed.",
    404: "There is no such thing.",
    405: "This address does not know that method.",
    408: "The body did not arrive in time.",
    409: "Something else holds what is needed, or the state does not allow it.",
    413: "The body is too long.",
    415: "The body is of another type than this address takes.",
    421: "The Host header is not one of this server's.",
    422: "A value is missing or not valid; the problem names it.",
    500: "What was asked did not work.",
    503: "A server or host cannot be reached.",
    507: "The disk or another resource ran out.",
}
_ALWAYS = (400, 401, 421, 422, 500)
_REF = "#/components/schemas/"
_EXTRA_MODELS: dict[str, type[BaseModel]] = {"EventPage": Page[Event], "LogPage": Page[LogEntry]}

_DESCRIPTION = """\
Turnout moves live web traffic onto a new release without dropping a request, and back.

Every address but `/health` needs `Authorization: Bearer <token>`. Errors are RFC 9457 problem
documents. Lists are pages, newest first, with an opaque `next_cursor`. Every POST takes an
`Idempotency-Key`: the same key with the same request gets the same answer for 24 hours, with
`Idempotency-Replayed: true`. Event streams are server-sent events and resume by `Last-Event-ID`.
"""


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what FastAPI's ``responses`` needs to say that these problems can come."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF + "Problem"}}},
        }
        for status in sorted({*_ALWAYS, *statuses})
    }


def page_or_stream(page: str, item: str) -> dict[int | str, dict[str, Any]]:
    """Return the 200 of an address that answers with a JSON page or an event stream.

    Args:
        page: The schema of the page.
        item: The schema of what an event of the stream carries.
    """
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": _REF + item},
    }
    text = {"type": "string"}
    event = {
        "type": "object",
        "description": "One server-sent event; the stream is a sequence of them.",
        "properties": {"id": text, "event": text, "data": data, "retry": {"type": "integer"}},
    }
    return {
        200: {
            "description": "A page, or a stream of server-sent events, as `Accept` asks.",
            "content": {
                "application/json": {"schema": {"$ref": _REF + page}},
                sse.MEDIA_TYPE: {"schema": event},
            },
        }
    }


def binary_body(*media_types: str) -> dict[str, Any]:
    """Return what describes a body of raw bytes."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in media_types
            },
        }
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of *app*, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title="Turnout",
        version=app.version,
        openapi_version=app.openapi_version,
        description=_DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[
            {"name": "server", "description": "The server itself."},
            {"name": "releases", "description": "What can be deployed."},
            {"name": "deployments", "description": "Releases on their way, and back."},
            {"name": "environments", "description": "What is live where."},
            {"name": "events", "description": "What happens, as it happens."},
            {"name": "logs", "description": "What the instances of all hosts wrote."},
            {"name": "routers", "description": "What moves the traffic on the hosts."},
        ],
    )
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    schemas.update(_extra_schemas())
    parts["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token: `turnout_…`.",
        }
    }
    document["security"] = [{"token": []}]
    document["servers"] = [{"url": "/", "description": "This server."}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _finish(path, operation)
    app.openapi_schema = document
    return document


def _finish(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if path == f"{PREFIX}/health":
        operation["security"] = []
        responses |= {
            str(status): answer
            for status, answer in problems_of().items()
            if status in (421, 422, 500)
        }
    if "201" in responses:
        responses["201"]["headers"] = {
            "Location": {
                "description": "The address of what was started.",
                "schema": {"type": "string"},
            }
        }
    unauthenticated = responses.get("401")
    if unauthenticated is not None:
        unauthenticated["headers"] = {
            "WWW-Authenticate": {
                "description": "`Bearer`.",
                "required": True,
                "schema": {"type": "string"},
            }
        }


def _extra_schemas() -> dict[str, Any]:
    # Models that no endpoint names as its own answer.
    wanted: list[type[BaseModel]] = [Problem, *_EXTRA_MODELS.values()]
    models: list[tuple[type[BaseModel], Literal["serialization"]]] = [
        (model, "serialization") for model in wanted
    ]
    _, made = models_json_schema(
        models,
        ref_template=_REF + "{model}",
    )
    schemas: dict[str, Any] = made["$defs"]
    for name, model in _EXTRA_MODELS.items():
        for found in [key for key in schemas if schemas[key].get("title") == model.__name__]:
            schemas[name] = schemas.pop(found)
    return schemas
