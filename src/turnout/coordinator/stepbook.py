"""The step book: how each step of a deployment goes, every change in one transaction with its event.

A part of the ledger that stands by itself; it is synchronous as the ledger is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import NotFound
from turnout.coordinator.tables import deployments, steps
from turnout.domain.steps import Action
from turnout.monitoring.events import EventLog

Row = Mapping[str, Any]
Mode = Literal["do", "tidy", "always", "undo"]
"""How a step is run: as a part of its deployment, to tidy up behind it unless somebody waits
for its end, whatever anybody wants, or to be taken back."""

MODES: dict[Mode, tuple[str, str, tuple[str, str]]] = {
    "do": ("running", "done", ("running", "failed")),
    "tidy": ("running", "done", ("running", "failed")),
    "always": ("running", "done", ("running", "failed")),
    "undo": ("undoing", "undone", ("undoing", "undo_failed")),
}
"""Mode to the status while it runs, the one at its end, and those of which it goes on."""


class StepBook:
    """Writes the rows of steps, and reads those of deployments.

    Args:
        database: Where they are.
        events: Where each change is told.
    """

    def __init__(self, database: Database, events: EventLog) -> None:
        self.database = database
        self.events = events

    def row(self, deployment: str) -> Row:
        """Return the row of a deployment.

        Raises:
            NotFound: There is none of that name.
        """
        with self.database.reading() as connection:
            return self.row_in(connection, deployment)

    def row_in(self, connection: sa.Connection, deployment: str) -> Row:
        """Return the row of a deployment, within the caller's transaction."""
        query = deployments.select().where(deployments.c.id == deployment)
        found = connection.execute(query).mappings().first()
        if found is None:
            raise NotFound(
                "There is no such deployment",
                subject=deployment[:60],
                next_step="'turnout list' shows the deployments.",
            )
        return dict(found)

    def tell(self, connection: sa.Connection, row: Row, kind: str, **data: Any) -> None:
        """Append an event about a deployment in the caller's transaction."""
        self.events.append(
            connection,
            kind,
            project=row["project"],
            environment=row["environment"],
            deployment=row["id"],
            **data,
        )

    def begin_step(self, deployment: str, position: int, mode: Mode) -> Row | None:
        """Record that a step is run or taken back, and count the attempt.

        Returns:
            Its row; one that is done (or undone) already as it is.  None if it must not begin:
            a step while somebody wants the deployment paused or aborted, one of the cleanup
            while somebody waits for its end.
        """
        status, ended, going_on = MODES[mode]
        with self.database.transaction() as connection:
            row = self.step_in(connection, deployment, position)
            if row["status"] == ended:
                return row
            parent = self.row_in(connection, deployment)
            if (mode == "do" and parent["control"] != "go") or (
                mode == "tidy" and parent["control"] == "hasten"
            ):
                return None
            # Attempts are counted anew for the undo: it has a limit of its own.
            attempts = row["attempts"] + 1 if row["status"] in going_on else 1
            values = {"status": status, "attempts": attempts}
            if row["started_at"] is None:
                values["started_at"] = clock.now()
            self._update_step(connection, deployment, position, **values)
            kind = "step.undoing" if mode == "undo" else "step.started"
            self.tell(connection, parent, kind, **_step_facts(row), attempt=attempts)
            return {**row, **values}

    def go_on_with_step(self, deployment: str, position: int) -> Row | None:
        """Record that a step which waits is looked at; only its first look is an attempt.

        Returns:
            Its row, ``fresh`` if it was begun just now; None if it must not go on, for somebody
            wants the deployment paused or aborted.
        """
        with self.database.reading() as connection:
            row = self.step_in(connection, deployment, position)
            control = self.row_in(connection, deployment)["control"]
        if row["status"] == "running":
            return {**row, "fresh": False} if control == "go" else None
        begun = self.begin_step(deployment, position, "do")
        return None if begun is None else {**begun, "fresh": begun["status"] != "done"}

    def end_step(self, deployment: str, position: int, status: str, **values: Any) -> None:
        """Record that a step is ``done`` or ``undone``; a second time changes nothing."""
        with self.database.transaction() as connection:
            self.end_step_in(connection, deployment, position, status, **values)

    def end_step_in(
        self,
        connection: sa.Connection,
        deployment: str,
        position: int,
        status: str,
        **values: Any,
    ) -> None:
        """Do what :meth:`end_step` does, within the caller's transaction."""
        row = self.step_in(connection, deployment, position)
        if row["status"] == status:
            return
        self._update_step(
            connection, deployment, position, status=status, finished_at=clock.now(), **values
        )
        facts = {key: value for key, value in values.items() if value}
        self.tell(
            connection,
            self.row_in(connection, deployment),
            f"step.{status}",
            **_step_facts(row),
            **facts,
        )

    def fail_step(
        self, deployment: str, position: int, status: str, why: str, delay: float | None
    ) -> None:
        """Record that an attempt failed, and whether it is tried again.

        Args:
            status: ``failed`` or ``undo_failed``.
            delay: Seconds until the next attempt; None if there is none.
        """
        with self.database.transaction() as connection:
            self.end_step_in(connection, deployment, position, status, error=why)
            if delay is None:
                return
            row = self.step_in(connection, deployment, position)
            self.tell(
                connection,
                self.row_in(connection, deployment),
                "step.retry",
                **_step_facts(row),
                attempt=row["attempts"],
                delay_s=round(delay, 3),
                error=why,
            )

    def note_package(self, deployment: str, path: str) -> list[str]:
        """Add a package to those that a deployment made; return them all."""
        with self.database.transaction() as connection:
            row = next(
                row
                for row in self.step_rows_in(connection, deployment)
                if row["action"] == Action.SEAL
            )
            result = dict(row["result"] or {})
            result["packages"] = [*result.get("packages", ()), path]
            self._update_step(connection, deployment, row["position"], result=result)
            return list(result["packages"])

    def step_in(self, connection: sa.Connection, deployment: str, position: int) -> Row:
        """Return the row of a step, within the caller's transaction."""
        query = steps.select().where(
            (steps.c.deployment == deployment) & (steps.c.position == position)
        )
        return dict(connection.execute(query).mappings().one())

    def step_rows(self, deployment: str) -> list[Row]:
        """Return the rows of all steps of a deployment, in their order."""
        with self.database.reading() as connection:
            return self.step_rows_in(connection, deployment)

    def step_rows_in(self, connection: sa.Connection, deployment: str) -> list[Row]:
        """Return the rows of all steps, within the caller's transaction."""
        query = steps.select().where(steps.c.deployment == deployment).order_by(steps.c.position)
        return [dict(row) for row in connection.execute(query).mappings()]

    def _update_step(
        self, connection: sa.Connection, deployment: str, position: int, **values: Any
    ) -> None:
        place = (steps.c.deployment == deployment) & (steps.c.position == position)
        connection.execute(steps.update().where(place).values(**values))


def _step_facts(row: Row) -> dict[str, Any]:
    return {
        "step": row["position"],
        "phase": row["phase"],
        "action": row["action"],
        "host": row["host"],
        "title": row["title"],
    }
