"""The ledger: every change of a deployment's state, each in one transaction with its event.

Synchronous on purpose: transactions take a millisecond, and callers on an event loop put them
into a thread.  Reading for people stands in ``documents``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.coordinator.stepbook import Row, StepBook
from turnout.coordinator.tables import deployments, phases, scopes, steps
from turnout.domain.phases import Kind, Phase, phases_of
from turnout.domain.steps import Plan, Step
from turnout.domain.transitions import Status, check_transition
from turnout.monitoring.events import EventLog


class Ledger(StepBook):
    """Writes the coordinator's tables.

    Args:
        database: Where they are.
        events: Where each change is told.
    """

    def __init__(self, database: Database, events: EventLog) -> None:
        super().__init__(database, events)
        self.ring_queue: Callable[[], None] = _nobody
        """Called, from any thread, when somebody came into the queue or let go of a scope."""

    def set_status(
        self, connection: sa.Connection, row: Row, status: Status, event: str, **data: Any
    ) -> None:
        """Move a deployment to *status*, with the event that tells of it.

        Raises:
            Conflict: *status* may not follow the one it has.
        """
        check_transition(row["id"], Status(row["status"]), status)
        values: dict[str, Any] = {"status": status.value}
        if status is Status.RUNNING and row["started_at"] is None:
            values["started_at"] = clock.now()
        if status.ended:
            values["finished_at"] = clock.now()
        connection.execute(
            deployments.update().where(deployments.c.id == row["id"]).values(**values)
        )
        self.tell(connection, row, event, status=status.value, **data)

    def save_plan(self, deployment: str, plan: Plan) -> None:
        """Record the plan of a deployment and its steps and phases as pending."""
        with self.database.transaction() as connection:
            row = self.row_in(connection, deployment)
            if row["plan"] is not None:
                return
            connection.execute(
                deployments.update()
                .where(deployments.c.id == deployment)
                .values(plan=plan.to_json(), previous_release=plan.live_release)
            )
            self._insert_steps(connection, deployment, 0, plan.steps)
            names = [phase.value for phase in phases_of(Kind(row["kind"]))]
            self._insert_phases(connection, deployment, 0, names)
            self.tell(
                connection, row, "deployment.planned", digest=plan.digest(), steps=len(plan.steps)
            )

    def begin_phase(
        self, deployment: str, name: str, event: Mapping[str, Any] | None = None
    ) -> None:
        """Record that a phase has begun; once it has, saying so again changes nothing.

        Args:
            event: ``kind`` and data of an event that belongs to its beginning.
        """
        with self.database.transaction() as connection:
            row = self.row_in(connection, deployment)
            place = (phases.c.deployment == deployment) & (phases.c.name == name)
            known = connection.execute(phases.select().where(place)).first()
            if known is not None and known.status != "pending":
                return
            if known is None:
                last = connection.execute(
                    sa.select(sa.func.max(phases.c.position)).where(
                        phases.c.deployment == deployment
                    )
                ).scalar()
                self._insert_phases(connection, deployment, (last or 0) + 1, [name])
            connection.execute(
                phases.update().where(place).values(status="running", started_at=clock.now())
            )
            connection.execute(
                deployments.update().where(deployments.c.id == deployment).values(phase=name)
            )
            if event is not None:
                self.tell(connection, row, **event)
            self.tell(connection, row, "phase.started", phase=name)

    def end_phase(self, deployment: str, name: str, status: str) -> None:
        """Record that a phase has ended as ``done`` or ``failed``."""
        with self.database.transaction() as connection:
            place = (phases.c.deployment == deployment) & (phases.c.name == name)
            changed = connection.execute(
                phases.update()
                .where(place & (phases.c.status == "running"))
                .values(status=status, finished_at=clock.now())
            )
            if changed.rowcount:
                row = self.row_in(connection, deployment)
                self.tell(connection, row, "phase.finished", phase=name, status=status)

    def scope(self, connection: sa.Connection, project: str, environment: str) -> Row | None:
        """Return the row of a scope, or None."""
        query = scopes.select().where(
            (scopes.c.project == project) & (scopes.c.environment == environment)
        )
        found = connection.execute(query).mappings().first()
        return None if found is None else dict(found)

    def _insert_steps(
        self, connection: sa.Connection, deployment: str, first: int, new: Sequence[Step]
    ) -> None:
        rows = [
            {
                "deployment": deployment,
                "position": first + offset,
                "phase": step.phase.value,
                "action": step.action.value,
                "host": step.host,
                "title": step.title,
                "status": "pending",
            }
            for offset, step in enumerate(new)
        ]
        if rows:
            connection.execute(steps.insert(), rows)

    def _insert_phases(
        self, connection: sa.Connection, deployment: str, first: int, names: Sequence[str]
    ) -> None:
        rows = [
            {
                "deployment": deployment,
                "position": first + offset,
                "name": name,
                "status": "pending",
            }
            for offset, name in enumerate(names)
        ]
        connection.execute(phases.insert(), rows)


def _nobody() -> None:
    """Ring no bell: nobody works on the queue yet."""


ROLLBACK_PREFIX = "rollback."
"""An automatic rollback's phases stand behind those of its deployment under this prefix."""


def rollback_phase(phase: Phase) -> str:
    """Return the name under which a phase of an automatic rollback is recorded."""
    return ROLLBACK_PREFIX + phase.value
