"""Rows turned into the documents that people and programs read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from turnout.base import clock
from turnout.base.errors import InvalidInput
from turnout.coordinator import drilling
from turnout.coordinator.admission import PRIORITIES
from turnout.coordinator.context import Settings, domains_of
from turnout.coordinator.splitting import split_of
from turnout.domain.steps import Plan, plan_from_json
from turnout.domain.transitions import UNDER_WAY, Status
from turnout.wire.api import (
    DeploymentDetail,
    DeploymentDocument,
    PhaseDocument,
    PlanDocument,
    PlannedStep,
    StepDocument,
)
from turnout.wire.project import Intent

_PRIORITY_NAMES = {number: name for name, number in PRIORITIES.items()}
Row = Mapping[str, Any]


def deployment_document(settings: Settings, row: Row) -> DeploymentDocument:
    """Return a deployment as a client reads it."""
    return DeploymentDocument.model_validate(_fields(settings, row))


def deployment_detail(
    settings: Settings,
    row: Row,
    phases: Sequence[Row],
    steps: Sequence[Row],
    holds: Sequence[Row] = (),
) -> DeploymentDetail:
    """Return a deployment with its phases and steps.

    Args:
        holds: What its steps that wait have kept, by position.
    """
    plan = plan_from_json(row["plan"]) if row["plan"] else None
    status = Status(row["status"])
    states = {hold["position"]: hold["state"] for hold in holds}
    # A pause stops the clock of a hold, so what it says it waits for is out of date then.
    waiting = [hold["waiting"] for hold in holds if hold["waiting"]]
    return DeploymentDetail.model_validate(
        {
            **_fields(settings, row),
            "phases": [PhaseDocument.model_validate(dict(phase)) for phase in phases],
            "steps": [_step(step, plan) for step in steps],
            "waiting_for": waiting[-1] if waiting and status is Status.WAITING else None,
            "split": split_of(plan, steps, states) if plan and status in UNDER_WAY else (),
            "plan_digest": plan.digest() if plan else "",
            "no_return_at": plan.no_return_at if plan else None,
            "drilled": drilling.result(row, steps),
        }
    )


def plan_document(plan: Plan) -> PlanDocument:
    """Return a plan as people read it."""
    project, environment = plan.scope.split("/")
    return PlanDocument(
        project=project,
        environment=environment,
        kind=plan.kind.value,
        strategy=plan.strategy,
        release=plan.release,
        live_release=plan.live_release,
        digest=plan.digest(),
        notes=plan.notes,
        steps=tuple(
            PlannedStep(
                index=index,
                phase=step.phase.value,
                action=step.action.value,
                host=step.host,
                title=step.title,
                undo=step.undo.title if step.undo else None,
                irreversible=step.irreversible,
            )
            for index, step in enumerate(plan.steps)
        ),
    )


def environment_url(settings: Settings, project: str, environment: str, intent: Intent) -> str:
    """Return where users reach an environment, port included."""
    return _url(settings, domains_of(project, environment, intent)[0])


def encode_cursor(created_at: datetime, name: str) -> str:
    """Return an opaque cursor behind a row."""
    text = f"{created_at.isoformat()}|{name}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Return what :func:`encode_cursor` was given.

    Raises:
        InvalidInput: The text is no cursor of ours.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        moment, name = text.split("|")
        found = datetime.fromisoformat(moment)
        if found.tzinfo is None:
            raise ValueError("a cursor's time has a zone")
        return found, name
    except (ValueError, binascii.Error) as error:
        raise InvalidInput(
            "That is not a cursor",
            subject=cursor[:40],
            next_step="Use the next_cursor of the page before, unchanged.",
        ) from error


def _fields(settings: Settings, row: Row) -> dict[str, Any]:
    intent = Intent.model_validate(row["intent"])
    domains = domains_of(row["project"], row["environment"], intent)
    started, finished = row["started_at"], row["finished_at"]
    duration = None
    if started is not None:
        duration = round(((finished or clock.now()) - started).total_seconds(), 3)
    names = DeploymentDocument.model_fields
    return {
        **{key: row[key] for key in names if key in row},
        "priority": _PRIORITY_NAMES[row["priority"]],
        "duration_s": duration,
        "url": _url(settings, domains[0]),
        "urls": tuple(_url(settings, domain) for domain in domains),
        "release_url": _url(settings, f"{row['release'][:12]}--{domains[0]}"),
        "events_url": f"/api/v1/deployments/{row['id']}/events",
    }


def _step(row: Row, plan: Plan | None) -> StepDocument:
    position = row["position"]
    planned = plan.steps[position] if plan and position < len(plan.steps) else None
    return StepDocument.model_validate(
        {
            **row,
            "index": position,
            "result": _public(row["result"]),
            "undo": planned.undo.title if planned and planned.undo else None,
            "irreversible": planned is not None and planned.irreversible,
        }
    )


def _public(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a step's result without what is of use inside only."""
    return {
        key: value
        for key, value in (result or {}).items()
        if key not in ("package", "packages", "mark")
    }


def _url(settings: Settings, domain: str) -> str:
    return f"http://{domain}:{settings.http_address.rpartition(':')[2]}/"
