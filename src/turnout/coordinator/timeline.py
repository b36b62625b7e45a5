"""The timeline of an environment: what became live when, and what was done that cannot be undone.

Deployments and rollbacks are never forgotten, so the moments at which they confirmed a release
tell what was live at any time, with the configuration of that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from turnout.coordinator.tables import deployments, steps
from turnout.domain.phases import Kind
from turnout.domain.steps import Action
from turnout.domain.transitions import Status
from turnout.rollback import Passed


def live_at(
    connection: sa.Connection, project: str, environment: str, at: datetime
) -> sa.RowMapping | None:
    """Return the deployment or rollback whose release was live at *at*; None before the first.

    Its columns ``release``, ``intent``, ``revision`` and ``confirmed_at``.
    """
    query = _confirmed(project, environment).where(steps.c.finished_at <= at)
    return connection.execute(query.order_by(steps.c.finished_at.desc())).mappings().first()


def first_live(connection: sa.Connection, project: str, environment: str) -> datetime | None:
    """Return when the first release became live; None if none ever did."""
    query = _confirmed(project, environment).order_by(steps.c.finished_at)
    found = connection.execute(query).mappings().first()
    return found["confirmed_at"] if found else None


def last_live(
    connection: sa.Connection, project: str, environment: str, release: str
) -> datetime | None:
    """Return when *release* became live the last time, whatever its configuration was."""
    query = _confirmed(project, environment).where(deployments.c.release == release)
    found = connection.execute(query.order_by(steps.c.finished_at.desc())).mappings().first()
    return found["confirmed_at"] if found else None


def passed_since(
    connection: sa.Connection, project: str, environment: str, since: datetime
) -> Sequence[Passed]:
    """Return the deployments that began something irreversible after *since*, oldest first."""
    query = (
        sa.select(deployments.c.id, deployments.c.release, deployments.c.plan, steps.c.position)
        .join(steps, steps.c.deployment == deployments.c.id)
        .where(
            (deployments.c.project == project)
            & (deployments.c.environment == environment)
            & (steps.c.action == Action.COMMAND.value)
            & (steps.c.started_at > since)
        )
        .order_by(steps.c.started_at)
    )
    found: dict[str, Passed] = {}
    for row in connection.execute(query).mappings():
        step: dict[str, Any] = row["plan"]["steps"][row["position"]]
        if step.get("irreversible"):
            before = found.get(row["id"], Passed(row["id"], row["release"]))
            names = (*before.irreversible, str(step["args"]["name"]))
            found[row["id"]] = Passed(row["id"], row["release"], names)
    return tuple(found.values())


def drilled_since(
    connection: sa.Connection, project: str, environment: str, revision: str, since: datetime
) -> str | None:
    """Return the newest drill of the rollback to *revision* that succeeded after *since*."""
    query = (
        sa.select(deployments.c.id)
        .where(
            (deployments.c.project == project)
            & (deployments.c.environment == environment)
            & (deployments.c.kind == Kind.ROLLBACK.value)
            & deployments.c.drill
            & (deployments.c.revision == revision)
            & (deployments.c.status == Status.SUCCEEDED.value)
            & (deployments.c.finished_at >= since)
        )
        .order_by(deployments.c.finished_at.desc())
    )
    return connection.execute(query.limit(1)).scalar()


def _confirmed(project: str, environment: str) -> sa.Select[Any]:
    return (
        sa.select(
            deployments.c.id,
            deployments.c.release,
            deployments.c.revision,
            deployments.c.intent,
            steps.c.finished_at.label("confirmed_at"),
        )
        .join(steps, steps.c.deployment == deployments.c.id)
        .where(
            (deployments.c.project == project)
            & (deployments.c.environment == environment)
            & (steps.c.action == Action.CONFIRM.value)
            & (steps.c.status == "done")
        )
        .limit(1)
    )
