"""Ramping: the weight follows the evidence, each of its values a recorded decision."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from turnout.base import clock
from turnout.coordinator import holding, hooks
from turnout.coordinator.looks import Desk, Look
from turnout.coordinator.observing import Observer
from turnout.coordinator.shifting import shift
from turnout.coordinator.waits import WAYS_OUT
from turnout.domain.splits import weights_at
from turnout.strategies.moves import Move, Next, Rules, Seen, lacking, reaction
from turnout.strategies.weights import Bounds, Evidence, next_weight
from turnout.wire.api import WaitingFor


async def look(desk: Desk) -> Look:
    """Raise the weight for a while as the evidence allows.

    Raises:
        NotGood: The verdict is bad, or the last weight was not reached in time and the rules
            say abort.
    """
    args = desk.args
    observer = await Observer.open(desk)
    state = observer.state
    # Not only when it is fresh: it may have been killed before it kept any of these.
    state.setdefault("changed_at", 0.0)
    state.setdefault("weight", args["first"])
    if observer.fresh:
        state["changed_at"] = 0.0
        await hooks.fire(desk, ("load-test", "event"), {"weight": args["first"]})
    rules = Rules(
        seconds=0.0,
        most=float(args["deadline"]),
        min_requests=int(args["min_requests"]),
        on_unknown=args["on_unknown"],
        on_unavailable=args["on_unavailable"],
    )
    bounds = Bounds(
        max=int(args["max"]), interval=float(args["interval"]), min_requests=rules.min_requests
    )
    await _tell(desk, observer, rules)
    async with observer:
        until = clock.monotonic() + holding.SLICE_S
        while clock.monotonic() < until:
            seen = await observer.next()
            if observer.interrupted:
                return Look(done=False)
            if seen.promoted_by:
                return await holding.finish(
                    desk, observer, Next(Move.GO_ON, f"{seen.promoted_by} asked to promote now")
                )
            if hook := await hooks.wants_back(desk, state):
                raise await holding.call_off(
                    desk, observer, f"the webhook '{hook}' asks to go back"
                )
            if seen.verdict == "bad":
                raise await holding.call_off(desk, observer, seen.reason)
            if state["weight"] >= bounds.max:
                reason = f"{bounds.max} % is reached after {seen.requests} requests"
                return await holding.finish(desk, observer, Next(Move.GO_ON, reason))
            await _raise(desk, observer, seen, bounds)
            if seen.elapsed >= rules.most:
                step = Next(reaction(rules, seen), _late(rules, seen, state["weight"]))
                if step.move is Move.GO_ON:
                    return await holding.finish(desk, observer, step)
                if step.move is Move.ABORT:
                    raise await holding.call_off(desk, observer, step.reason)
                await holding.ask(desk, observer, step)
    return Look(done=False)


async def _raise(desk: Desk, observer: Observer, seen: Seen, bounds: Bounds) -> None:
    state, args = observer.state, desk.args
    if not seen.trusted or seen.verdict == "unavailable":
        return
    evidence = Evidence(
        confidence=observer.confidence,
        requests=seen.requests,
        seconds=seen.elapsed - state["changed_at"],
        requests_per_minute=observer.requests_per_minute,
    )
    weight = next_weight(state["weight"], evidence, bounds)
    if weight == state["weight"]:
        return
    split = args["split"]
    await shift(
        desk.ctx,
        desk.job,
        args["hosts"],
        weights_at(weight, split["candidate"], args["live"], split["baseline"]),
        split,
    )
    before, state["weight"], state["changed_at"] = state["weight"], weight, seen.elapsed
    await observer.keep()
    await observer.decide(
        "weight",
        f"{before} % to {weight} %: {100 * evidence.confidence:.1f} % sure that it harms nobody"
        f" after {seen.requests} requests",
    )


async def _tell(desk: Desk, observer: Observer, rules: Rules) -> None:
    if observer.state.get("said") == "wait":
        return
    since = datetime.fromisoformat(observer.state["since"])
    waiting = WaitingFor(
        kind="hold",
        name=f"{desk.args['max']} %",
        since=since,
        until=clock.now() + timedelta(seconds=max(0.0, rules.most - observer.state["elapsed"])),
        reason="the weight follows the evidence",
        ways_out=WAYS_OUT["hold"],
    )
    await asyncio.to_thread(
        lambda: desk.book.wait_for(
            waiting, "hold.started", weight=desk.args["first"], seconds=rules.most
        )
    )


def _late(rules: Rules, seen: Seen, weight: int) -> str:
    return f"only {weight} % was reached in {rules.most:g} s: {lacking(rules, seen)}"
