"""One slice of a step that waits: begun, looked at and recorded as one checkpoint.

The counterpart of :mod:`attempts` for steps that take as long as traffic, people or clocks
want.  Errors of a look are retried like those of an attempt; a look that found nothing to do
yet is no attempt at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from turnout.base import failpoints, logs
from turnout.base.errors import Failed, TurnoutError
from turnout.coordinator import commanding, gates, holding, ramping
from turnout.coordinator.attempts import explained, retry_delay
from turnout.coordinator.looks import Desk, Look
from turnout.domain.steps import Action

log = structlog.get_logger(__name__)

LOOKS: dict[Action, Callable[[Desk], Awaitable[Look]]] = {
    Action.GATE: gates.look,
    Action.COMMAND: commanding.look,
    Action.HOLD: holding.look,
    Action.RAMP: ramping.look,
}
"""The steps that wait."""


@dataclass(frozen=True)
class Slice:
    """A step that waits, about to be looked at."""

    desk: Desk
    action: Action

    async def run(self) -> dict[str, Any]:
        """Look once; a checkpointed step of the workflow.

        Returns:
            As :meth:`turnout.coordinator.attempts.Attempt.run`, or ``again`` with the ``delay``
            before the next look.
        """
        desk = self.desk
        with logs.bound(step=desk.position, action=self.action.value, host=desk.host or None):
            return await self._run()

    async def _run(self) -> dict[str, Any]:
        desk, ledger = self.desk, self.desk.ctx.ledger
        place = f"server.step.{desk.position}-{self.action}"
        begun = await asyncio.to_thread(ledger.go_on_with_step, desk.job.id, desk.position)
        if begun is None:
            await holding.suspend(desk)
            return {"end": "held"}
        if begun["status"] == "done":
            return {"end": "done"}
        try:
            if begun["fresh"]:
                await failpoints.reached(f"{place}.before")
            async with asyncio.timeout(desk.ctx.settings.attempt_deadline_s):
                found = await LOOKS[self.action](desk)
            await failpoints.reached(f"{place}.inside")
        except TurnoutError as error:
            return await self._failed(error, begun["attempts"])
        except TimeoutError:
            limit = desk.ctx.settings.attempt_deadline_s
            late = Failed("The step took too long", why=f"{limit:g} seconds have passed")
            return await self._failed(late, begun["attempts"])
        except Exception as mistake:
            log.exception("step.crashed")
            return await self._failed(explained(mistake), begun["attempts"])
        if not found.done:
            return {"end": "again", "delay": found.delay}
        await asyncio.to_thread(
            lambda: ledger.end_step(
                desk.job.id, desk.position, "done", result=found.result, error=""
            )
        )
        log.info("step.ended", status="done", attempt=begun["attempts"])
        await failpoints.reached(f"{place}.after")
        return {"end": "done"}

    async def _failed(self, error: TurnoutError, attempts: int) -> dict[str, Any]:
        desk = self.desk
        await asyncio.to_thread(desk.book.wait_no_more)
        delay = retry_delay(error, "do", attempts)
        log.warning("step.failed", mode="do", attempt=attempts, why=str(error), again_in_s=delay)
        await asyncio.to_thread(
            desk.ctx.ledger.fail_step, desk.job.id, desk.position, "failed", str(error), delay
        )
        return {"end": "failed", "error": error.to_document(), "delay": delay}
