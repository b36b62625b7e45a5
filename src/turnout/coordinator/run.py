"""One deployment under way: runs steps durably, retries them, and obeys pause and abort.

Every attempt of a step is one checkpoint of the engine; the loop around it stands in the
workflow, so the count of attempts and the waiting between them survive a kill.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from turnout.base.errors import TurnoutError, from_document
from turnout.coordinator import engine
from turnout.coordinator.attempts import Attempt
from turnout.coordinator.context import Context
from turnout.coordinator.job import Job, aborted, job_of
from turnout.coordinator.looks import Desk
from turnout.coordinator.slices import LOOKS, Slice
from turnout.coordinator.stepbook import Mode
from turnout.domain.steps import Action, Plan, Step, Undo, plan_from_json
from turnout.domain.transitions import Status

CONTROL = "control"
"""The topic on which a sleeping workflow is woken."""


@dataclass(frozen=True)
class Run:
    """One deployment or rollback while its workflow runs.

    Attributes:
        ctx: The coordinator's parts.
        job: What it is about.
        plan: Its plan, as it was recorded.
    """

    ctx: Context
    job: Job
    plan: Plan

    async def do(self, position: int, step: Step) -> None:
        """Run one step of the plan to its end, with retries.

        Raises:
            Aborted: Somebody called the deployment off.
            TurnoutError: The step failed for good.
        """
        host = step.host or ""
        if step.action in LOOKS:
            desk = Desk(self.ctx, self.job, position, self.plan.digest(), step.args, host)
            await self._watch(Slice(desk, step.action))
            return
        await self._persist(
            Attempt(self.ctx, self.job, position, step.action, host, step.args), "do"
        )

    async def take_back(self, position: int, host: str | None, undo: Undo) -> TurnoutError | None:
        """Run the undo of one step, with retries; return the error if it cannot be done."""
        attempt = Attempt(self.ctx, self.job, position, undo.action, host or "", undo.args)
        try:
            await self._persist(attempt, "undo")
        except TurnoutError as error:
            return error
        return None

    async def tidy(self, position: int, step: Step) -> TurnoutError | None:
        """Run one step that must not end the deployment; return the error if it fails."""
        attempt = Attempt(self.ctx, self.job, position, step.action, step.host or "", step.args)
        try:
            await self._persist(attempt, "always" if step.action is Action.RECORD else "tidy")
        except TurnoutError as error:
            return error
        return None

    async def heed(self) -> None:
        """Wait while the deployment is paused.

        Raises:
            Aborted: Somebody called it off, or it was paused for too long.
        """
        while True:
            word = await engine.step("heed", self._read_control)
            if word["control"] == "abort":
                raise aborted(self.job.id, word["reason"])
            if word["control"] != "pause":
                return
            limit = self.ctx.settings.pause_deadline_s
            if await engine.receive(CONTROL, limit) is None:
                raise aborted(self.job.id, f"it was paused for more than {limit / 3600:g} hours")

    async def _persist(self, attempt: Attempt, mode: Mode) -> None:
        name = f"{mode}:{attempt.position}:{attempt.action}"
        while True:
            outcome = await engine.step(name, attempt.run, mode)
            if outcome["end"] == "done":
                return
            if outcome["end"] == "held":
                if mode != "do":
                    return
                await self.heed()
                continue
            if outcome["delay"] is None:
                raise from_document(outcome["error"])
            await engine.receive(CONTROL, outcome["delay"])

    async def _watch(self, slice: Slice) -> None:
        """Look at a step that waits until it is done."""
        name = f"look:{slice.desk.position}:{slice.action}"
        while True:
            outcome = await engine.step(name, slice.run)
            if outcome["end"] == "done":
                return
            if outcome["end"] == "held":
                await self.heed()
                continue
            if outcome["delay"] is None:
                raise from_document(outcome["error"])
            if outcome["delay"] > 0:
                await engine.receive(CONTROL, outcome["delay"])

    async def _read_control(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._read_control_now)

    def _read_control_now(self) -> dict[str, Any]:
        ledger = self.ctx.ledger
        with ledger.database.transaction() as connection:
            row = ledger.row_in(connection, self.job.id)
            word, why, status = row["control"], row["control_reason"], Status(row["status"])
            if word == "pause" and status in (Status.RUNNING, Status.WAITING):
                ledger.set_status(connection, row, Status.PAUSED, "deployment.paused", why=why)
            elif word != "pause" and status is Status.PAUSED:
                event = "deployment.resumed" if word == "go" else "deployment.aborting"
                ledger.set_status(connection, row, Status.RUNNING, event, why=why)
            return {"control": word, "reason": why}


async def load(ctx: Context, deployment: str) -> Run:
    """Return the run of a deployment whose plan is recorded."""
    row = await asyncio.to_thread(ctx.ledger.row, deployment)
    return Run(ctx, job_of(row), plan_from_json(row["plan"]))
