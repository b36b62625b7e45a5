"""Gates: approvals, commands, webhooks and time windows that have to say yes first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from turnout.base import clock
from turnout.base.errors import Failed, Refused, TurnoutError
from turnout.coordinator import commanding, hooks
from turnout.coordinator.looks import Desk, Look
from turnout.coordinator.waits import WAYS_OUT
from turnout.environments import windows
from turnout.wire.api import WaitingFor
from turnout.wire.rollout import GateSpec

LONGEST_LOOK_AWAY_S = 3600.0
ASK_AGAIN_S = 10.0
"""How often a webhook that did not say yes is asked again."""


async def look(desk: Desk) -> Look:
    """Look once whether a gate is open.

    Raises:
        Refused: Somebody said no.
        Failed: It did not open in time, or its command says no.
    """
    if desk.args["kind"] == "at":
        return await _look_at_clock(desk, datetime.fromisoformat(desk.args["at"]))
    gate = GateSpec.model_validate(dict(desk.args))
    since = await _since(desk)
    until = since + timedelta(seconds=gate.timeout)
    if gate.kind == "approval":
        return await look_for_approval(desk, gate.name, since, until)
    if gate.kind == "window":
        return await _look_at_clock(desk, windows.opens(gate, clock.now()))
    if gate.kind == "command":
        assert gate.command is not None
        found = await commanding.run(
            desk, gate.name, gate.command, min(gate.timeout, LONGEST_LOOK_AWAY_S)
        )
        return await _opened(desk, gate.name, {"exit_code": found.exit_code})
    return await _ask(desk, gate, since, until)


async def look_for_approval(desk: Desk, name: str, since: datetime, until: datetime) -> Look:
    """Look whether somebody has approved the plan at this step.

    Raises:
        Refused: Somebody rejected it.
        Failed: Nobody answered in time.
    """
    answer = await asyncio.to_thread(desk.book.approval, desk.digest)
    if answer is not None and answer["approved"]:
        return await _opened(desk, name, {"approved_by": answer["by"]})
    if answer is not None:
        raise Refused(
            "The deployment was rejected",
            subject=desk.job.id,
            why=f"{answer['by']} said no" + (f": {answer['reason']}" if answer["reason"] else ""),
            next_step="Mend what was found, then deploy again.",
        )
    await _wait(
        desk,
        WaitingFor(
            kind="approval",
            name=name,
            since=since,
            until=until,
            reason="somebody has to approve the plan",
            ways_out=WAYS_OUT["approval"],
        ),
    )
    return Look(done=False, delay=_left(until, f"Nobody approved '{name}' in time"))


async def _ask(desk: Desk, gate: GateSpec, since: datetime, until: datetime) -> Look:
    assert gate.url is not None
    try:
        answer = await hooks.ask(gate.url, gate.hook, desk.job, desk.digest)
    except TurnoutError as error:
        answer = hooks.Answer(yes=False, status=None, reason=str(error))
    if answer.yes:
        return await _opened(desk, gate.name, {"status": answer.status})
    await _wait(
        desk,
        WaitingFor(
            kind="gate",
            name=gate.name,
            since=since,
            until=until,
            reason=answer.reason,
            ways_out=WAYS_OUT["gate"],
        ),
    )
    row = await desk.row()
    if row["promoted_by"]:
        return await _opened(desk, gate.name, {"overridden_by": row["promoted_by"]})
    left = _left(until, f"The gate '{gate.name}' did not open in time", answer.reason)
    return Look(done=False, delay=min(ASK_AGAIN_S, left))


async def _look_at_clock(desk: Desk, opens: datetime) -> Look:
    left = (opens - clock.now()).total_seconds()
    name = desk.args["name"]
    if left <= 0:
        return await _opened(desk, name, {})
    await _wait(
        desk,
        WaitingFor(
            kind="window",
            name=name,
            since=await _since(desk),
            until=opens,
            reason=f"it opens at {opens.isoformat(timespec='seconds')}",
            ways_out=WAYS_OUT["window"],
        ),
    )
    return Look(done=False, delay=min(left, LONGEST_LOOK_AWAY_S))


async def _since(desk: Desk) -> datetime:
    """Return when this step began to wait, written down at its first look."""
    state = await asyncio.to_thread(desk.book.state)
    if "since" not in state:
        state["since"] = clock.now().isoformat()
        await asyncio.to_thread(desk.book.keep, state)
    return datetime.fromisoformat(state["since"])


async def _wait(desk: Desk, waiting: WaitingFor) -> None:
    await asyncio.to_thread(
        lambda: desk.book.wait_for(
            waiting, "gate.waiting", name=waiting.name, kind_of_gate=waiting.kind
        )
    )


async def _opened(desk: Desk, name: str, result: dict[str, Any]) -> Look:
    await asyncio.to_thread(lambda: desk.book.wait_no_more("gate.opened", name=name, **result))
    return Look(done=True, result=result)


def _left(until: datetime, what: str, why: str = "") -> float:
    left = (until - clock.now()).total_seconds()
    if left <= 0:
        raise Failed(
            what,
            why=why,
            next_step="Deploy again when it can be opened.",
            facts={"final": True},
        )
    return min(left, LONGEST_LOOK_AWAY_S)
