"""The rehearsal inside a deployment: that the release which is live could be started afresh.

It is what a deployment would go back to once it is promoted.  One fresh instance of it a host is
started beside it under the name of the baseline, which no request reaches, is awaited, and is
stopped again, before any traffic moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from turnout.base.errors import InvalidInput
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.splits import baseline_revision
from turnout.domain.steps import Action, Plan, Step, Undo

_BEFORE = (Phase.INITIATION, Phase.PREPARATION, Phase.STAGING)


def rehearsed(plan: Plan, state: ScopeState) -> Plan:
    """Return *plan* with a rehearsal of the way back at the beginning of its validation.

    Args:
        plan: Of a deployment; it stays as it is where nothing could be gone back to, where the
            strategy starts the live release afresh anyway, and for a static site, which has
            nothing that could be started.
        state: What it was made from.

    Raises:
        InvalidInput: The live release cannot run twice at once.
    """
    live = state.live
    if live is None or live.revision == plan.revision or live.static:
        return plan
    if any(step.args.get("of") == "live" for step in plan.steps):
        return plan
    if live.exclusive:
        raise InvalidInput(
            "The way back cannot be rehearsed",
            subject=state.scope,
            why="'drill_within' asks for it, and the app cannot run twice at once (run.exclusive)",
            next_step="Leave out 'drill_within'.",
        )
    at = next(
        (at for at, step in enumerate(plan.steps) if step.phase not in _BEFORE), len(plan.steps)
    )
    new = tuple(_steps(state, live, plan.revision))
    note = "The way back is rehearsed: no drill of it is young enough."
    return replace(
        plan, steps=(*plan.steps[:at], *new, *plan.steps[at:]), notes=(*plan.notes, note)
    )


def _steps(state: ScopeState, live: Revision, candidate: str) -> Iterator[Step]:
    twin = baseline_revision(live.revision, candidate)
    for host in state.hosts:
        yield from _on(host, live, twin)


def _on(host: HostState, live: Revision, twin: str) -> Iterator[Step]:
    short = live.release[:12]
    stop = f"stop the rehearsal of {short} on {host.name}"
    which = {"index": 0, "revision": twin}
    yield Step(
        Phase.VALIDATION,
        Action.START,
        f"rehearse the way back: start {short} afresh on {host.name}",
        host.name,
        {**which, "of": "live"},
        Undo(Action.STOP, stop, which),
    )
    yield Step(
        Phase.VALIDATION,
        Action.AWAIT_READY,
        f"rehearse the way back: wait until {short} is healthy on {host.name}",
        host.name,
        {"revision": twin, "of": "live"},
    )
    yield Step(Phase.VALIDATION, Action.STOP, stop, host.name, which)
