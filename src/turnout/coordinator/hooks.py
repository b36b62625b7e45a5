"""Webhooks: what is asked of, and told to, programs elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx2 as httpx
import structlog

from turnout.base import clock
from turnout.base.errors import Unreachable
from turnout.coordinator.job import Job
from turnout.coordinator.looks import Desk
from turnout.wire.rollout import GateSpec

log = structlog.get_logger(__name__)
TIMEOUT_S = 10.0
ASK_EVERY_S = 10.0

Hook = Literal["confirm-rollout", "confirm-promotion", "load-test", "rollback", "event"]


@dataclass(frozen=True)
class Answer:
    """What a webhook said.

    Attributes:
        yes: Whether its status was 2xx.
        status: Its status; None if it did not answer.
        reason: For people.
    """

    yes: bool
    status: int | None
    reason: str


async def ask(
    url: str, hook: Hook, job: Job, digest: str, facts: dict[str, Any] | None = None
) -> Answer:
    """Send what a deployment is about to a webhook and return what it says.

    A redirect is not followed: it is an answer that is not yes.

    Raises:
        Unreachable: It does not answer.
    """
    document = {
        "hook": hook,
        "deployment": job.id,
        "project": job.project,
        "environment": job.environment,
        "release": job.revision.release,
        "revision": job.revision.revision,
        "plan": digest,
        **(facts or {}),
    }
    try:
        async with (
            # All of it: a server that sends its headers one by one would hold up a hold for hours.
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream("POST", url, json=document) as response,
        ):
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        # Its address may hold a secret of the user's, so it is not repeated.
        raise Unreachable(
            "A webhook does not answer", subject=hook, why=type(error).__name__
        ) from None
    yes = 200 <= status < 300
    return Answer(yes, status, f"the webhook answered {status}")


async def fire(desk: Desk, kinds: Collection[Hook], facts: dict[str, Any]) -> None:
    """Tell the webhooks of some kinds; what they say, or that they are silent, decides nothing."""
    await _all_say(desk, of_kind(desk.job, kinds), facts)


async def wants_back(desk: Desk, state: dict[str, Any]) -> str:
    """Ask the webhooks that may call for a rollback, at most every ten seconds.

    Args:
        state: Of the hold; when they were asked last is kept in it.

    Returns:
        The name of one that said yes; empty if none did.
    """
    kinds: tuple[Hook, ...] = ("rollback",)
    gates = of_kind(desk.job, kinds)
    now = clock.now().timestamp()
    if not gates or now - state.get("hooks_asked", 0.0) < ASK_EVERY_S:
        return ""
    state["hooks_asked"] = now
    said_yes = await _all_say(desk, gates)
    return next((gate.name for gate, yes in zip(gates, said_yes, strict=True) if yes), "")


async def _all_say(
    desk: Desk, gates: Sequence[GateSpec], facts: dict[str, Any] | None = None
) -> list[bool]:
    """Return what each of *gates* says; all at once, for the traffic is not judged meanwhile."""

    async def one(gate: GateSpec) -> bool:
        try:
            return (await ask(str(gate.url), gate.hook, desk.job, desk.digest, facts)).yes
        except Unreachable as error:
            log.warning("hook.silent", name=gate.name, hook=gate.hook, why=str(error))
            return False

    return await asyncio.gather(*(one(gate) for gate in gates))


def of_kind(job: Job, kinds: Collection[Hook]) -> list[GateSpec]:
    """Return the webhooks of a deployment that are of some kinds."""
    return [
        gate for gate in job.intent.rollout.gates if gate.kind == "webhook" and gate.hook in kinds
    ]
