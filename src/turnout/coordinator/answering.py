"""Answers to a deployment that waits: a yes or a no to its plan, and the wish to promote now."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.errors import Impossible
from turnout.coordinator.holdbook import waiting_in
from turnout.coordinator.ledger import Ledger
from turnout.coordinator.stepbook import Row
from turnout.coordinator.tables import approvals, deployments
from turnout.domain.steps import Action, plan_from_json
from turnout.domain.transitions import Status

SKIPPABLE = frozenset({Action.HOLD, Action.RAMP, Action.GATE, Action.VERIFY})
"""What promoting skips: measurements and the wait for them."""


def answer(
    ledger: Ledger,
    connection: sa.Connection,
    row: Row,
    *,
    approved: bool,
    by: str,
    why: str,
) -> None:
    """Write down a yes or a no to the plan at the step that waits for one.

    Raises:
        Impossible: The deployment does not wait for an approval.
    """
    waiting = waiting_in(connection, row["id"])
    if waiting is None or waiting[1].kind != "approval":
        raise Impossible(
            "The deployment does not wait for an approval",
            subject=row["id"],
            why=f"it is {row['status']}",
            next_step=f"Look at it with 'turnout show {row['id']}'.",
        )
    position, wait = waiting
    digest = plan_from_json(row["plan"]).digest()
    connection.execute(
        approvals.insert().values(
            deployment=row["id"],
            position=position,
            digest=digest,
            approved=approved,
            by=by,
            reason=why,
            at=clock.now(),
        )
    )
    kind = "approval.given" if approved else "approval.refused"
    ledger.tell(
        connection, row, kind, step=position, name=wait.name, by=by, reason=why, digest=digest
    )


def promote(
    ledger: Ledger,
    connection: sa.Connection,
    row: Row,
    steps: Sequence[Row],
    *,
    by: str,
    why: str,
) -> None:
    """Write down that the rest of the schedule shall not be waited for.

    Approvals are still asked for: whoever promotes overrules measurements, not people.

    Raises:
        Impossible: Nothing of the deployment could be skipped.
    """
    left = [step for step in steps if step["action"] in SKIPPABLE and step["status"] != "done"]
    if row["plan"] is None or not left or Status(row["status"]) is Status.QUEUED:
        raise Impossible(
            "There is nothing that the deployment would wait for",
            subject=row["id"],
            next_step=f"Look at it with 'turnout show {row['id']}'.",
        )
    connection.execute(
        deployments.update().where(deployments.c.id == row["id"]).values(promoted_by=by)
    )
    ledger.tell(connection, row, "deployment.promote_asked", by=by, why=why)
