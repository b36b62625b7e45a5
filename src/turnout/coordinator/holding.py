"""Holding: a step stays at a weight, judges each second of live traffic, and goes on or back.

What was seen is kept with the step, so that a pause or a restart of the server goes on from
the same evidence, and time that was paused does not count.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from turnout.base import clock
from turnout.base.errors import Failed
from turnout.coordinator import gates, hooks
from turnout.coordinator.looks import Desk, Look
from turnout.coordinator.observing import Observer
from turnout.coordinator.verifying import NotGood
from turnout.coordinator.waits import WAYS_OUT
from turnout.strategies.moves import Move, Next, Rules, Seen, next_move
from turnout.wire.api import WaitingFor

SLICE_S = 20.0
"""Seconds of one look: each is a checkpoint, and what it saw is kept every few seconds."""


async def look(desk: Desk) -> Look:
    """Hold for a while.

    Raises:
        NotGood: The verdict is bad, or decided nothing in time and the rules say abort.
        Refused: It waited for an approval and somebody said no.
    """
    args = desk.args
    observer = await Observer.open(desk)
    if observer.fresh:
        await hooks.fire(desk, ("load-test", "event"), {"weight": args["weight"]})
    rules = Rules(
        seconds=float(args["seconds"]),
        most=float(args["max_seconds"]),
        min_requests=int(args["min_requests"]),
        on_unknown=args["on_unknown"],
        on_unavailable=args["on_unavailable"],
        judged=bool(args["judge"]),
    )
    await _tell(desk, observer, rules)
    async with observer:
        until = clock.monotonic() + SLICE_S
        while clock.monotonic() < until:
            seen = await observer.next()
            if observer.interrupted:
                return Look(done=False)
            if hook := await hooks.wants_back(desk, observer.state):
                raise await call_off(desk, observer, f"the webhook '{hook}' asks to go back")
            if args["approval"]:
                if (found := await _approved(desk, observer, seen)) is not None:
                    return found
                continue
            step = next_move(rules, seen)
            if step.move is Move.GO_ON:
                return await finish(desk, observer, step)
            if step.move is Move.ABORT:
                raise await call_off(desk, observer, step.reason)
            if step.move in (Move.EXTEND, Move.ASK):
                await ask(desk, observer, step)
    return Look(done=False)


async def ask(desk: Desk, observer: Observer, step: Next) -> None:
    """Say once that the verdict takes longer, or that a human has to decide.

    Raises:
        Failed: Nobody has decided in time.
    """
    word = "extend" if step.move is Move.EXTEND else "wait"
    if observer.state.get("said") != word:
        observer.state["said"] = word
        observer.state["asked_at"] = clock.now().isoformat()
        await observer.decide(word, step.reason)
    if word == "extend":
        return
    since = datetime.fromisoformat(observer.state["asked_at"])
    limit = desk.ctx.settings.pause_deadline_s
    until = since + timedelta(seconds=limit)
    if clock.now() > until:
        raise Failed(
            "Nobody decided whether the release is good",
            subject=desk.job.id,
            why=f"{step.reason}; {limit / 3600:g} hours have passed since",
            next_step="Deploy again, or promote it yourself next time.",
            facts={"final": True},
        )
    waiting = WaitingFor(
        kind="hold",
        name="a decision",
        since=since,
        until=until,
        reason=step.reason,
        ways_out=WAYS_OUT["hold"],
    )
    await asyncio.to_thread(
        lambda: desk.book.wait_for(waiting, "hold.extended", reason=step.reason)
    )


async def finish(desk: Desk, observer: Observer, step: Next) -> Look:
    """Record that the hold goes on, and why."""
    by = observer.promoted_by or "turnout"
    await observer.decide("go-on", step.reason, by=by)
    await observer.keep()
    await asyncio.to_thread(
        lambda: desk.book.wait_no_more("hold.finished", reason=step.reason, by=by)
    )
    return Look(
        done=True,
        result={
            "reason": step.reason,
            "held_s": round(observer.state["elapsed"], 1),
            "verdict": observer.verdict.model_dump(mode="json"),
        },
    )


async def call_off(desk: Desk, observer: Observer, reason: str) -> NotGood:
    """Record that the release goes back, and return the error that says so."""
    await observer.decide("abort", reason)
    await observer.keep()
    await asyncio.to_thread(desk.book.wait_no_more)
    return NotGood(
        f"Release {desk.job.revision.release[:12]} is not good enough",
        subject=desk.job.scope,
        why=reason,
        next_step=f"'turnout show {desk.job.id} --evidence' shows what was seen.",
        facts={"final": True, "verdict": observer.verdict.model_dump(mode="json")},
    )


async def suspend(desk: Desk) -> None:
    """Stop the clock of a hold: what follows until the next look does not count."""
    await Observer.suspend(desk)


async def _approved(desk: Desk, observer: Observer, seen: Seen) -> Look | None:
    if seen.verdict == "bad" and desk.args["judge"]:
        raise await call_off(desk, observer, seen.reason)
    since = datetime.fromisoformat(observer.state["since"])
    until = since + timedelta(seconds=float(desk.args["max_seconds"]))
    weight = desk.args["weight"]
    name = f"more than {weight} %" if weight else "the first traffic"
    found = await gates.look_for_approval(desk, name, since, until)
    if found.done:
        await observer.keep()
        return found
    return None


async def _tell(desk: Desk, observer: Observer, rules: Rules) -> None:
    said = observer.state.get("said")
    if desk.args["approval"] or said == "wait":
        return
    weight, elapsed = desk.args["weight"], observer.state["elapsed"]
    longest = rules.most if said == "extend" else rules.seconds
    reason = "live traffic is judged" if rules.judged else "time has to pass"
    waiting = WaitingFor(
        kind="hold",
        name=f"{weight} %" if weight else "mirrored traffic",
        since=datetime.fromisoformat(observer.state["since"]),
        # Reckoned from now at each look, for a pause stops the clock.
        until=clock.now() + timedelta(seconds=max(0.0, longest - elapsed)),
        reason=f"{reason}; it takes longer, for it is not decided" if said else reason,
        ways_out=WAYS_OUT["hold"],
    )
    await asyncio.to_thread(
        lambda: desk.book.wait_for(waiting, "hold.started", weight=weight, seconds=rules.seconds)
    )
