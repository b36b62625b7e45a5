"""The plan of a manual rollback: to a kept release, through four phases, with nothing rebuilt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnout.base.errors import Impossible
from turnout.domain import parts, swaps
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action, Plan, Step
from turnout.wire.project import Intent


def plan(state: ScopeState, target: Revision, intent: Intent, warnings: Sequence[str] = ()) -> Plan:
    """Return the steps that bring *target* back.

    Args:
        state: The scope and its hosts as they are.
        target: What shall be live again.
        intent: The configuration with which *target* was live.
        warnings: What :func:`feasibility` has to say about it.

    Raises:
        Impossible: Nothing was ever live.
    """
    if state.live is None:
        raise Impossible(
            "There is nothing to roll back",
            subject=state.scope,
            why="no release is live in this environment",
            next_step="Deploy a release first.",
        )
    notes = []
    # A configuration that only names other hosts is the same revision, and has to be routed.
    settled = parts.is_settled(state, target) and {*intent.domains} == {*state.domains}
    alone = _runs_alone(state, target, intent)
    if settled:
        # So it is when an aborted deployment has gone back to it already, or a rollback before.
        notes.append("This release is live already: nothing will move.")
    elif alone:
        notes.append(
            "Downtime: the app cannot run twice at once, so what is live stops before the release"
            " to go back to starts."
        )
    elif not all(parts.is_up(host, target) for host in state.hosts):
        notes.append("The release to go back to is not warm everywhere: it is started first.")
    way = _settled if settled else _replacing if alone else _moving
    return Plan(
        kind=Kind.ROLLBACK,
        scope=state.scope,
        strategy="recreate" if alone and not settled else "blue-green",
        release=target.release,
        revision=target.revision,
        live_release=state.live.release,
        steps=tuple(way(state, target, intent)),
        notes=(*notes, *(f"{text[0].upper()}{text[1:]}." for text in warnings)),
    )


def _settled(state: ScopeState, target: Revision, intent: Intent) -> Iterator[Step]:
    health = intent.component.health
    yield from parts.check_hosts(state)
    for host in state.hosts:
        yield parts.probe(host, target, Phase.PREPARATION, health.path, health.expect)
    yield from _ending(target)


def _moving(state: ScopeState, target: Revision, intent: Intent) -> Iterator[Step]:
    health = intent.component.health
    static = intent.component.static
    short = target.release[:12]
    yield from parts.check_hosts(state)
    yield parts.seal(target)
    for host in state.hosts:
        yield from parts.bring_up(host, state, target, Phase.PREPARATION)
    for host in state.hosts:
        if parts.is_up(host, target):
            # A warm release has proven itself; one answer shows that it still lives.
            yield parts.probe(host, target, Phase.PREPARATION, health.path, health.expect)
        else:
            yield Step(
                Phase.PREPARATION,
                Action.AWAIT_READY,
                f"wait until {short} is healthy on {host.name}",
                host.name,
            )
    for host in state.hosts:
        if not parts.is_up(host, target):
            yield parts.expose(host, state, target, Phase.PREPARATION)
    for host in state.hosts:
        if static is not None:
            yield parts.bridge(host, state, target, Phase.EXECUTION, static.bridge_releases)
        yield parts.switch(host, state, target, Phase.EXECUTION)
    warm = all(parts.is_up(host, target) for host in state.hosts)
    yield from _ending(target, 0.0 if warm else intent.rollout.verify)


def _runs_alone(state: ScopeState, target: Revision, intent: Intent) -> bool:
    """Return whether something has to stop before *target* may start."""
    run = intent.component.run
    exclusive = (run is not None and run.exclusive) or (
        state.live is not None and state.live.exclusive
    )
    return exclusive and swaps.runs_beside(state, target)


def _replacing(state: ScopeState, target: Revision, intent: Intent) -> Iterator[Step]:
    phase, static = Phase.EXECUTION, intent.component.static
    yield from parts.check_hosts(state)
    yield parts.seal(target)
    for host in state.hosts:
        yield from parts.bring(host, state, target, Phase.PREPARATION)
    down, up = swaps.replace_all(state, target, phase, intent.rollout.drain)
    yield from down
    yield from up
    for host in state.hosts:
        if static is not None:
            yield parts.bridge(host, state, target, phase, static.bridge_releases)
        yield swaps.switch_on(host, target, phase)
    yield from _ending(target, intent.rollout.verify, keep_warm=False)


def _ending(target: Revision, seconds: float = 0.0, *, keep_warm: bool = True) -> Iterator[Step]:
    """Yield the verification, which watches for *seconds* what did not run all the time, and
    what follows it."""
    short = target.release[:12]
    confirmed: dict[str, object] = {"keep_previous": False}
    if not keep_warm:
        confirmed["keep_warm"] = 0.0
    yield Step(
        Phase.VERIFICATION,
        Action.VERIFY,
        f"watch {short} for {seconds:g} s of live traffic"
        if seconds
        else f"see {short} answer through the router",
        args={"seconds": seconds},
    )
    yield Step(
        Phase.VERIFICATION,
        Action.CONFIRM,
        f"confirm {short} as live",
        args=confirmed,
    )
    yield Step(Phase.VERIFICATION, Action.RECORD, "write history and discard the package")
