"""One attempt of one step: it is begun, run, cut off or ended, and each of these is recorded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from turnout.base import failpoints, logs
from turnout.base.errors import Aborted, Failed, TurnoutError, Unreachable
from turnout.coordinator.context import Context
from turnout.coordinator.effects import EFFECTS
from turnout.coordinator.job import Job, aborted
from turnout.coordinator.stepbook import Mode
from turnout.domain.retry import RetryPolicy, worth_retrying
from turnout.domain.steps import Action

log = structlog.get_logger(__name__)

RETRIES = RetryPolicy(attempts=6)
"""Three to six seconds in all: an agent that dies more than once meanwhile is up again by then."""
UNDO_RETRIES = RetryPolicy(attempts=8)

_INTERRUPTIBLE = frozenset(
    {
        Action.STAGE,
        Action.BUILD_SITE,
        Action.START,
        Action.AWAIT_READY,
        Action.PROBE,
        Action.CHECK,
        Action.VERIFY,
        Action.DRAIN,
    }
)
"""What may take long.  The others are short, and half of a switch or of a confirmation would
go on behind the back of its undo."""


@dataclass(frozen=True)
class Attempt:
    """A step, or the undo of one, about to be attempted.

    Attributes:
        position: The step's position in its plan.
        action: What is done, which for an undo is not the step's own.
        host: Where; empty for the server itself.
        args: As in the plan.
    """

    ctx: Context
    job: Job
    position: int
    action: Action
    host: str
    args: Mapping[str, Any]

    async def run(self, mode: Mode) -> dict[str, Any]:
        """Try once; a checkpointed step of the workflow.

        Returns:
            ``end`` says how it went: ``done``; ``held``, if it must not begin now; ``failed``
            with the error's document and the ``delay`` before the next attempt, None if there
            shall be none.
        """
        with logs.bound(step=self.position, action=self.action.value, host=self.host or None):
            return await self._run(mode)

    async def _run(self, mode: Mode) -> dict[str, Any]:
        ledger, deployment = self.ctx.ledger, self.job.id
        ended = "undone" if mode == "undo" else "done"
        place = f"server.{'undo' if mode == 'undo' else 'step'}.{self.position}-{self.action}"
        begun = await asyncio.to_thread(ledger.begin_step, deployment, self.position, mode)
        if begun is None:
            return {"end": "held"}
        if begun["status"] == ended:
            return {"end": "done"}
        try:
            await failpoints.reached(f"{place}.before")
            async with asyncio.timeout(self.ctx.settings.attempt_deadline_s):
                result = await self._effect(mode)
            await failpoints.reached(f"{place}.inside")
        except TurnoutError as error:
            return await self._failed(error, mode, begun["attempts"])
        except TimeoutError:
            limit = self.ctx.settings.attempt_deadline_s
            late = Failed("The step took too long", why=f"{limit:g} seconds have passed")
            return await self._failed(late, mode, begun["attempts"])
        except Exception as mistake:
            log.exception("step.crashed")
            return await self._failed(explained(mistake), mode, begun["attempts"])
        values = {} if mode == "undo" else {"result": result, "error": ""}
        await asyncio.to_thread(ledger.end_step, deployment, self.position, ended, **values)
        log.info("step.ended", status=ended, attempt=begun["attempts"])
        await failpoints.reached(f"{place}.after")
        return {"end": "done"}

    async def _effect(self, mode: Mode) -> dict[str, Any]:
        work = EFFECTS[self.action](self.ctx, self.job, self.host, self.args)
        if mode not in ("do", "tidy") or self.action not in _INTERRUPTIBLE:
            return await work
        effect = asyncio.ensure_future(work)
        alarm = asyncio.ensure_future(self.ctx.alarm(self.job.id).wait())
        try:
            await asyncio.wait({effect, alarm}, return_when=asyncio.FIRST_COMPLETED)
            if effect.done():
                return effect.result()
            raise await self._cut_off()
        finally:
            alarm.cancel()
            if not effect.done():
                effect.cancel()
                await asyncio.wait({effect}, timeout=5.0)

    async def _cut_off(self) -> Aborted:
        row = await asyncio.to_thread(self.ctx.ledger.row, self.job.id)
        if row["control"] == "abort":
            return aborted(self.job.id, row["control_reason"])
        return Aborted("The rest of the cleanup is left to the sweeper", subject=self.job.id)

    async def _failed(self, error: TurnoutError, mode: Mode, attempts: int) -> dict[str, Any]:
        delay = retry_delay(error, mode, attempts)
        log.warning("step.failed", mode=mode, attempt=attempts, why=str(error), again_in_s=delay)
        await asyncio.to_thread(
            self.ctx.ledger.fail_step,
            self.job.id,
            self.position,
            "undo_failed" if mode == "undo" else "failed",
            str(error),
            delay,
        )
        return {"end": "failed", "error": error.to_document(), "delay": delay}


def retry_delay(error: TurnoutError, mode: Mode, attempts: int) -> float | None:
    """Return seconds until a step is tried again after so many attempts; None if it is not."""
    policy = UNDO_RETRIES if mode == "undo" else RETRIES
    if not worth_retrying(error) or attempts >= policy.attempts:
        return None
    # Jitter, not a secret.
    delay = policy.delay(attempts, random.random())  # noqa: S311
    rest = error.facts.get("retry_after_s")
    if isinstance(error, Unreachable) and isinstance(rest, int | float):
        delay = max(delay, float(rest))
    return delay


def explained(mistake: Exception) -> Failed:
    """Return the error that tells people of a mistake of our own; its text is for the log only."""
    return Failed(
        "Turnout made a mistake",
        why=type(mistake).__name__,
        next_step="The server's log has the details; please report them.",
    )
