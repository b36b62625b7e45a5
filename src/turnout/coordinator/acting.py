"""What people may ask of a deployment under way, decided and recorded in one transaction.

The word stands in the deployment's row, where its workflow reads it before every step and the
confirmation reads it at the last moment; waking the workflow is left to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from turnout.base.errors import Impossible
from turnout.coordinator import answering
from turnout.coordinator.ending import finish_in, problem_of
from turnout.coordinator.ledger import ROLLBACK_PREFIX, Ledger
from turnout.coordinator.stepbook import Row
from turnout.coordinator.tables import deployments
from turnout.domain.phases import Kind
from turnout.domain.steps import Action
from turnout.domain.transitions import ENDED, Status

Verb = Literal["pause", "resume", "abort", "retry", "approve", "reject", "promote"]
_WORDS: dict[Verb, str | None] = {"pause": "pause", "resume": "go", "abort": "abort"}


@dataclass(frozen=True)
class Effect:
    """What has to follow, once the word is recorded.

    Attributes:
        wake: The workflow may sleep and has to look.
        cut_off: Its running step has to be cut off.
        queue_changed: The queue has to be looked at.
    """

    wake: bool = False
    cut_off: bool = False
    queue_changed: bool = False


def act(ledger: Ledger, deployment: str, verb: Verb, why: str, by: str) -> Effect:
    """Record what somebody asks of a deployment.

    Raises:
        NotFound: There is none of that name.
        Impossible: It stands where that cannot be done; nothing is changed.
    """
    with ledger.database.transaction() as connection:
        row = ledger.row_in(connection, deployment)
        status = Status(row["status"])
        _demand_open(row, status)
        steps = ledger.step_rows_in(connection, deployment)
        _demand_possible(row, steps, verb)
        if verb == "resume" and row["control"] != "pause":
            raise Impossible("The deployment is not paused", subject=deployment)
        if verb == "retry" and not any("failed" in step["status"] for step in steps):
            raise Impossible(
                "No step waits to be tried again",
                subject=deployment,
                next_step=f"Look at it with 'turnout show {deployment}'.",
            )
        if verb in ("approve", "reject"):
            answering.answer(ledger, connection, row, approved=verb == "approve", by=by, why=why)
            return Effect(wake=True)
        if verb == "promote":
            answering.promote(ledger, connection, row, steps, by=by, why=why)
            return Effect(wake=True)
        _say(connection, row, _WORDS.get(verb), why)
        ledger.tell(connection, row, f"deployment.{verb}_asked", by=by, why=why)
        if verb == "abort" and status is Status.QUEUED:
            problem = problem_of(
                "The deployment was aborted before its turn",
                deployment,
                why,
                "Deploy again when ready.",
                "aborted",
            )
            finish_in(ledger, connection, row, Status.ABORTED, problem)
            return Effect(queue_changed=True)
    return Effect(wake=status is not Status.QUEUED, cut_off=verb == "abort")


def make_way(ledger: Ledger, deployment: str, why: str) -> Effect:
    """Let a deployment end for a rollback: abort it, or cut its cleanup short.

    A rollback under way is left alone: it takes no longer than its own undo would.  A drill
    gives way.
    """
    with ledger.database.transaction() as connection:
        row = ledger.row_in(connection, deployment)
        undoing = str(row["phase"]).startswith(ROLLBACK_PREFIX)
        rollback = row["kind"] == Kind.ROLLBACK and not row["drill"]
        if Status(row["status"]) in ENDED or rollback or undoing:
            return Effect()
        confirmed = _confirmation(ledger.step_rows_in(connection, deployment)) == "done"
        _say(connection, row, "hasten" if confirmed else "abort", why)
        kind = "deployment.hastened" if confirmed else "deployment.abort_asked"
        ledger.tell(connection, row, kind, by="turnout", why=why)
    return Effect(wake=True, cut_off=True)


def _demand_open(row: Row, status: Status) -> None:
    if status in ENDED:
        raise Impossible(
            f"The deployment has ended: {status}",
            subject=row["id"],
            next_step="Start another one, or go back with 'turnout rollback'.",
        )


def _demand_possible(row: Row, steps: list[Row], verb: Verb) -> None:
    if verb == "retry":
        return
    confirmation = _confirmation(steps)
    if confirmation == "done" or (confirmation == "running" and verb == "pause"):
        raise Impossible(
            "The release is confirmed as live already",
            subject=row["id"],
            why=f"there is nothing left to {verb}",
            next_step="Go back with 'turnout rollback'.",
        )
    if str(row["phase"]).startswith(ROLLBACK_PREFIX):
        raise Impossible(
            "The deployment has failed and is being taken back",
            subject=row["id"],
            why=f"there is nothing left to {verb}",
            next_step="Wait for its end, then deploy again.",
        )
    if row["control"] == "abort" and verb != "abort":
        raise Impossible(
            "The deployment is being aborted",
            subject=row["id"],
            next_step="Wait for its end, then deploy again.",
        )


def _confirmation(steps: list[Row]) -> str:
    found = [step["status"] for step in steps if step["action"] == Action.CONFIRM]
    return str(found[0]) if found else "pending"


def _say(connection: sa.Connection, row: Row, word: str | None, why: str) -> None:
    if word is not None:
        connection.execute(
            deployments.update()
            .where(deployments.c.id == row["id"])
            .values(control=word, control_reason=why)
        )
