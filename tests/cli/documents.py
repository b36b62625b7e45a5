"""Documents as the API sends them, for the fake server and the tests."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

AT = "2026-01-02T03:04:05Z"
RELEASE = "ab" * 32
OLDER = "cd" * 32
ID = "dep-000000001"

PHASES = (
    "initiation",
    "preparation",
    "staging",
    "validation",
    "promotion",
    "verification",
    "cleanup",
)


def problem(status: int, name: str, detail: str, **more: Any) -> Response:
    return JSONResponse(
        document(status, name, detail, **more),
        status_code=status,
        media_type="application/problem+json",
    )


def document(status: int, name: str, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"urn:turnout:problem:{name}",
        "title": name,
        "status": status,
        "detail": detail,
        "instance": "/x",
        "subject": "",
        "next_step": "Do something else.",
        "facts": {},
        **more,
    }


def page(items: list[Any], cursor: str | None = None) -> Response:
    return JSONResponse({"items": items, "next_cursor": cursor})


def release(identifier: str, project: str) -> dict[str, Any]:
    return {
        "release": identifier,
        "project": project,
        "files": 1,
        "bytes": 2,
        "created_at": AT,
        "live_in": ["production"],
        "message": "first",
    }


def deployment(
    identifier: str = ID,
    kind: str = "deployment",
    project: str = "shop",
    environment: str = "production",
    release: str = RELEASE,
    **more: Any,
) -> dict[str, Any]:
    return {
        "id": identifier,
        "kind": kind,
        "project": project,
        "environment": environment,
        "strategy": "blue-green",
        "release": release,
        "previous_release": OLDER,
        "status": "running",
        "phase": "staging",
        "priority": "normal",
        "message": "",
        "created_at": AT,
        "started_at": AT,
        "finished_at": None,
        "duration_s": None,
        "url": "http://shop.localhost:8080/",
        "urls": [],
        "release_url": "http://r.shop.localhost:8080/",
        "uploaded_bytes": 0,
        "reused_bytes": 0,
        "events_url": f"/api/v1/deployments/{identifier}/events",
        "reason": "",
        "problem": None,
        "phases": [{"name": name, "status": "pending"} for name in PHASES],
        "steps": [],
        "a_field_of_tomorrow": 1,
        **more,
    }


def environment(project: str = "shop", name: str = "production", **more: Any) -> dict[str, Any]:
    return {
        "project": project,
        "environment": name,
        "live_release": RELEASE,
        "live_since": AT,
        "url": "http://shop.localhost:8080/",
        "health": "healthy",
        "deployment": ID,
        "deployment_status": "running",
        **more,
    }


def plan(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "project": "shop",
        "environment": "production",
        "kind": "deployment",
        "strategy": "blue-green",
        "release": asked.get("release") or OLDER,
        "live_release": None,
        "digest": "ef" * 32,
        "steps": [
            {
                "index": 0,
                "phase": "staging",
                "action": "stage",
                "host": "local",
                "title": "place the files",
                "undo": "remove them",
            }
        ],
        "notes": ["the first release goes live at once"],
    }
