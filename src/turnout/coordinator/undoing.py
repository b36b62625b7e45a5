"""The automatic rollback: a failed deployment takes back what it did, through four phases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from turnout import rollback
from turnout.base import clock, logs
from turnout.base.errors import TurnoutError, Unreachable
from turnout.coordinator import costing, engine, verifying
from turnout.coordinator.ledger import rollback_phase
from turnout.coordinator.routing import scope_record
from turnout.coordinator.run import Run
from turnout.coordinator.standing import Standing
from turnout.coordinator.verifying import watch
from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action
from turnout.targets.port import Host
from turnout.wire import agent as wire

_PAUSE_S = 0.3


@dataclass(frozen=True)
class Undone:
    """How taking back went.

    Attributes:
        traffic_moved: Whether the release may have answered live requests.
        frozen: The step past which nothing goes back by itself, if it was begun: then nothing
            was taken back.
        traffic_left: Hosts on which traffic could not be moved back.
        left: What could not be taken back, in words.
    """

    traffic_moved: bool
    traffic_left: frozenset[str | None]
    left: tuple[str, ...]
    frozen: str | None = None


async def undo(run: Run, cause: TurnoutError, *, beyond: bool = False) -> Undone:
    """Take back every step that was begun, newest first, and see the old release answer.

    A step that cannot be taken back does not keep the others from being taken back, but where
    traffic cannot be moved back, what answers it stays: bad answers beat none.

    Args:
        beyond: Whether a human wants it taken back past the point of no return.
    """
    begun = await engine.step("begun", _begun, run)
    steps = [(position, run.plan.steps[position]) for position in begun["positions"]]
    plan = rollback.undo_plan(steps, beyond=beyond or begun["asked"])
    if plan.frozen is not None:
        return Undone(plan.traffic_moved, frozenset(), (), plan.frozen)

    found = costing.cause_of(cause)
    if run.job.kind is Kind.DEPLOYMENT:
        await asyncio.to_thread(costing.note_cause, run.ctx.ledger, run.job.id, found)
    await asyncio.to_thread(
        run.ctx.ledger.begin_phase,
        run.job.id,
        rollback_phase(Phase.INITIATION),
        {
            "kind": "rollback.started",
            "why": str(cause),
            "cause": found,
            "traffic_moved": plan.traffic_moved,
            "automatic": True,
        },
    )
    await _phase(run, Phase.INITIATION, "done")
    left = []
    traffic_left: set[str | None] = set()
    if plan.prepare_live and begun["other_live"]:
        await _phase(run, Phase.PREPARATION, "running")
        ready = await engine.step("prepare-old", _prepare_old, run)
        left += [ready["problem"]] if ready["problem"] else []
        await _phase(run, Phase.PREPARATION, "failed" if ready["problem"] else "done")
    await _phase(run, Phase.EXECUTION, "running")
    for step in plan.steps:
        if step.host in traffic_left:
            left.append(f"{step.undo.title}: it answers live requests")
            continue
        with logs.bound(phase=rollback_phase(Phase.EXECUTION)):
            error = await run.take_back(step.position, step.host, step.undo)
        if error is not None:
            left.append(f"{step.undo.title}: {error}")
            if step.undo.action in (Action.SWITCH_BACK, Action.SWITCH_OFF):
                traffic_left.add(step.host)
    await _phase(run, Phase.EXECUTION, "failed" if left else "done")
    if plan.live_disturbed and begun["other_live"]:
        await _phase(run, Phase.VERIFICATION, "running")
        seen = await engine.step("see-old", _see_old, run)
        if seen["problem"]:
            left.append(seen["problem"])
        await _phase(run, Phase.VERIFICATION, "failed" if seen["problem"] else "done")
    return Undone(plan.traffic_moved, frozenset(traffic_left), tuple(left))


async def _phase(run: Run, phase: Phase, status: str) -> None:
    name, ledger = rollback_phase(phase), run.ctx.ledger
    if status == "running":
        await asyncio.to_thread(ledger.begin_phase, run.job.id, name)
    else:
        await asyncio.to_thread(ledger.end_phase, run.job.id, name, status)


async def _begun(run: Run) -> dict[str, Any]:
    """Return the positions of the steps begun, and whether another revision was live before.

    A repair puts the live revision back onto its feet.  Taken back, it leaves the environment
    as broken as it was, so there is nothing that could be seen to answer.
    """
    rows = await asyncio.to_thread(run.ctx.ledger.step_rows, run.job.id)
    row = await asyncio.to_thread(run.ctx.ledger.row, run.job.id)
    live = (await scope_record(run.ctx, run.job.project, run.job.environment)).live
    return {
        "positions": [row["position"] for row in rows if row["status"] != "pending"],
        # Whether it is a human who wants it taken back.
        "asked": row["control"] == "abort",
        "other_live": live is not None and live.revision.revision != run.job.revision.revision,
    }


async def _prepare_old(run: Run) -> dict[str, str]:
    """Make sure that what was live still runs before traffic goes back to it."""
    record = await scope_record(run.ctx, run.job.project, run.job.environment)
    live = record.live
    if live is None:
        return {"problem": ""}
    try:
        for host in run.job.intent.hosts or run.ctx.fleet.names:
            for wanted in _wanted(record.scope, live):
                await patiently(partial(run.ctx.fleet.call, host, partial(_ensure, wanted)))
    except TurnoutError as error:
        return {"problem": f"the release before could not be made ready: {error}"}
    return {"problem": ""}


def _wanted(scope: str, live: Standing) -> list[wire.InstanceWanted | wire.SiteWanted]:
    revision, component = live.revision, live.intent.component
    if component.static is not None:
        return [
            wire.SiteWanted(
                scope=scope,
                revision=revision.revision,
                release=revision.release,
                static=component.static,
            )
        ]
    assert component.run is not None
    return [
        wire.InstanceWanted(
            scope=scope,
            revision=revision.revision,
            release=revision.release,
            index=index,
            run=component.run,
        )
        for index in range(revision.instances)
    ]


async def _ensure(wanted: wire.InstanceWanted | wire.SiteWanted, driver: Host) -> None:
    if isinstance(wanted, wire.SiteWanted):
        await driver.ensure_site(wanted)
    else:
        await driver.ensure_instance(wanted)


async def _see_old(run: Run) -> dict[str, str]:
    """See the release before answer through the router of every host."""
    record = await scope_record(run.ctx, run.job.project, run.job.environment)
    live = record.live
    if live is None:
        return {"problem": ""}
    old = replace(run.job, revision=live.revision, intent=live.intent)
    try:
        await patiently(partial(watch, run.ctx, old, 0))
    except TurnoutError as error:
        return {"problem": f"the release before was not seen to answer: {error}"}
    return {"problem": ""}


async def patiently(work: Callable[[], Awaitable[object]]) -> None:
    """Do *work* again and again while its host does not answer, as after a crash of its agent.

    Raises:
        Unreachable: It did not answer for half a minute.
    """
    until = clock.monotonic() + verifying.PATIENCE_S
    while True:
        try:
            await work()
            return
        except Unreachable:
            if clock.monotonic() > until:
                raise
        await asyncio.sleep(_PAUSE_S)
