"""A look: one short turn of a step that waits, such as a hold or a gate.

A step that waits for minutes or days cannot be one attempt: the engine would keep nothing of
it.  So it is looked at again and again; each look is one checkpoint, keeps what was seen, and
says when to look next.  A message wakes the workflow between two looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from turnout.coordinator.context import Context
from turnout.coordinator.holdbook import HoldBook
from turnout.coordinator.job import Job


@dataclass(frozen=True)
class Desk:
    """What a look works with.

    Attributes:
        ctx: The coordinator's parts.
        job: Whose step it is.
        position: The step's position in its plan.
        digest: Of the plan: what approvals bind to.
        args: The step's arguments.
        host: Where, if anywhere.
    """

    ctx: Context
    job: Job
    position: int
    digest: str
    args: Mapping[str, Any]
    host: str = ""

    @property
    def book(self) -> HoldBook:
        """Where the step keeps what it saw."""
        return HoldBook(self.ctx.ledger, self.job.id, self.position)

    @property
    def alarm(self) -> asyncio.Event:
        """Set when somebody wants something of this deployment."""
        return self.ctx.alarm(self.job.id)

    @property
    def bell(self) -> asyncio.Event:
        """Set when somebody has asked something that a second's wait would only delay."""
        return self.ctx.bell(self.job.id)

    async def row(self) -> Mapping[str, Any]:
        """Return the deployment's row as it is now."""
        return await asyncio.to_thread(self.ctx.ledger.row, self.job.id)


@dataclass(frozen=True)
class Look:
    """What came of a look.

    Attributes:
        done: Whether the step is done.
        delay: Seconds until the next look if it is not; a message comes sooner.
        result: What is recorded when it is done.
    """

    done: bool
    delay: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
