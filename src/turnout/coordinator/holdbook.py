"""The hold book: what waiting steps have seen and decided, and who approved what.

Synchronous as the ledger is; each change stands in one transaction with its event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.stepbook import Row
from turnout.coordinator.tables import approvals, decisions, evidence, holds
from turnout.domain.transitions import Status
from turnout.wire.api import WaitingFor


@dataclass(frozen=True)
class HoldBook:
    """The book of one waiting step.

    Attributes:
        ledger: Where deployments are.
        deployment: Whose step it is.
        position: The step's position in its plan.
    """

    ledger: Ledger
    deployment: str
    position: int

    def state(self) -> dict[str, Any]:
        """Return what was kept last; empty for a step that has kept nothing yet."""
        with self.ledger.database.reading() as connection:
            found = connection.execute(holds.select().where(self._place())).mappings().first()
        return dict(found["state"]) if found else {}

    def keep(self, state: Mapping[str, Any], points: Sequence[Mapping[str, Any]] = ()) -> None:
        """Keep the state of the step, and the seconds that it has judged since."""
        with self.ledger.database.transaction() as connection:
            self._keep(connection, state=dict(state))
            if points:
                connection.execute(
                    evidence.insert().values(
                        deployment=self.deployment, position=self.position, points=list(points)
                    )
                )

    def forget_evidence(self) -> None:
        """Let a step that is tried again judge from nothing; the weight stays where it is.

        What it saw before stays on record.
        """
        state = self.state()
        if state:
            self.keep({"weight": state["weight"]} if "weight" in state else {})

    def wait_for(self, waiting: WaitingFor, event: str, **data: Any) -> None:
        """Record what the deployment waits for; it is told once, however its end is put off."""
        document = waiting.model_dump(mode="json")
        with self.ledger.database.transaction() as connection:
            known = connection.execute(sa.select(holds.c.waiting).where(self._place())).scalar()
            row = self.ledger.row_in(connection, self.deployment)
            if row["status"] == Status.RUNNING:
                self.ledger.set_status(connection, row, Status.WAITING, "deployment.waiting")
            if known == document:
                return
            self._keep(connection, waiting=document)
            if _same(known, document):
                return
            self.ledger.tell(connection, row, event, step=self.position, **data)

    def wait_no_more(self, event: str = "", **data: Any) -> None:
        """Record that the deployment goes on."""
        with self.ledger.database.transaction() as connection:
            row = self.ledger.row_in(connection, self.deployment)
            if row["status"] == Status.WAITING:
                self.ledger.set_status(connection, row, Status.RUNNING, "deployment.going_on")
            changed = connection.execute(
                holds.update()
                .where(self._place() & holds.c.waiting.is_not(None))
                .values(waiting=None)
            )
            if event and changed.rowcount:
                self.ledger.tell(connection, row, event, step=self.position, **data)

    def decide(
        self, what: str, weight: int, verdict: str, reason: str, by: str = "turnout"
    ) -> None:
        """Write down a decision."""
        with self.ledger.database.transaction() as connection:
            connection.execute(
                decisions.insert().values(
                    deployment=self.deployment,
                    position=self.position,
                    at=clock.now(),
                    what=what,
                    weight=weight,
                    verdict=verdict,
                    reason=reason,
                    by=by,
                )
            )
            row = self.ledger.row_in(connection, self.deployment)
            self.ledger.tell(
                connection,
                row,
                "decision.made",
                step=self.position,
                what=what,
                weight=weight,
                verdict=verdict,
                reason=reason,
                by=by,
            )

    def approval(self, digest: str) -> Row | None:
        """Return the answer to this step that was given to the plan with that digest, if any."""
        query = (
            approvals.select()
            .where(
                (approvals.c.deployment == self.deployment)
                & (approvals.c.position == self.position)
                & (approvals.c.digest == digest)
            )
            .order_by(approvals.c.id.desc())
        )
        with self.ledger.database.reading() as connection:
            found = connection.execute(query).mappings().first()
        return dict(found) if found else None

    def _place(self) -> sa.ColumnElement[bool]:
        return (holds.c.deployment == self.deployment) & (holds.c.position == self.position)

    def _keep(self, connection: sa.Connection, **values: Any) -> None:
        changed = connection.execute(holds.update().where(self._place()).values(**values))
        if not changed.rowcount:
            connection.execute(
                holds.insert().values(
                    deployment=self.deployment,
                    position=self.position,
                    **{"state": {}, **values},
                )
            )


def waiting_in(connection: sa.Connection, deployment: str) -> tuple[int, WaitingFor] | None:
    """Return the step at which a deployment waits and what for, if it does."""
    query = (
        holds.select()
        .where((holds.c.deployment == deployment) & holds.c.waiting.is_not(None))
        .order_by(holds.c.position.desc())
    )
    for found in connection.execute(query).mappings():
        if found["waiting"]:
            return found["position"], WaitingFor.model_validate(found["waiting"])
    return None


def _same(known: Mapping[str, Any] | None, document: Mapping[str, Any]) -> bool:
    """Return whether both say the same, but for how much was seen meanwhile."""
    if not known:
        return False
    names = ("kind", "name", "since")
    return all(known.get(name) == document.get(name) for name in names)
