"""Blue-green: the new release runs whole beside the live one, then all traffic moves at once.

After Humble and Farley, "Continuous Delivery" (2010), chapter 10.
"""

from __future__ import annotations

from collections.abc import Iterator

from turnout.domain import parts
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action, Plan, Step
from turnout.wire.project import Intent


def plan(state: ScopeState, revision: Revision, intent: Intent) -> Plan:
    """Return the steps of a blue-green deployment of *revision*."""
    settled = parts.is_settled(state, revision) and {*intent.domains} == {*state.domains}
    notes = []
    if settled:
        notes.append("This release is live already with this configuration: nothing will move.")
    elif state.live is None:
        notes.append("First release of this environment: it goes live at once.")
    steps = _settled(state, revision, intent) if settled else _moving(state, revision, intent)
    return Plan(
        kind=Kind.DEPLOYMENT,
        scope=state.scope,
        strategy="blue-green",
        release=revision.release,
        revision=revision.revision,
        live_release=state.live.release if state.live else None,
        steps=tuple(steps),
        notes=tuple(notes),
    )


def _settled(state: ScopeState, revision: Revision, intent: Intent) -> Iterator[Step]:
    health = intent.component.health
    yield from parts.check_hosts(state)
    for host in state.hosts:
        yield parts.probe(host, revision, Phase.VALIDATION, health.path, health.expect)
    yield Step(
        Phase.VERIFICATION,
        Action.CONFIRM,
        "confirm that the release stays live",
        args={"keep_previous": True},
    )
    yield Step(Phase.CLEANUP, Action.RECORD, "write history")


def _moving(state: ScopeState, revision: Revision, intent: Intent) -> Iterator[Step]:
    static = intent.component.static
    yield from parts.check_hosts(state)
    yield parts.seal(revision)
    for host in state.hosts:
        yield from parts.bring_up(host, state, revision, Phase.STAGING)
    for host in state.hosts:
        yield Step(
            Phase.VALIDATION,
            Action.AWAIT_READY,
            f"wait until {revision.release[:12]} is healthy on {host.name}",
            host.name,
        )
    for host in state.hosts:
        for check in intent.checks:
            yield Step(
                Phase.VALIDATION,
                Action.CHECK,
                f"check '{check.name}' on {host.name}",
                host.name,
                check.model_dump(mode="json"),
            )
    for host in state.hosts:
        yield parts.expose(host, state, revision, Phase.VALIDATION)
    for host in state.hosts:
        if static is not None:
            reach = static.bridge_releases
            yield parts.bridge(host, state, revision, Phase.PROMOTION, reach)
        yield parts.switch(host, state, revision, Phase.PROMOTION)
    yield Step(
        Phase.VERIFICATION,
        Action.VERIFY,
        f"watch {revision.release[:12]} for {intent.rollout.verify:g} s of live traffic",
        args={"seconds": intent.rollout.verify},
    )
    yield Step(
        Phase.VERIFICATION,
        Action.CONFIRM,
        f"confirm {revision.release[:12]} as live",
        args={"keep_previous": False},
    )
    yield from _cleanup(state, revision, intent)


def _cleanup(state: ScopeState, revision: Revision, intent: Intent) -> Iterator[Step]:
    live = state.live.revision if state.live else None
    for host in state.hosts:
        standing = sorted({*host.instances} | ({*host.weights} - {*host.sites}))
        for old in standing:
            keep = old == revision.revision or (old == live and intent.rollout.keep_warm > 0)
            if keep:
                continue
            yield Step(
                Phase.CLEANUP,
                Action.DRAIN,
                f"drain revision {old} on {host.name}",
                host.name,
                {"revision": old, "deadline": intent.rollout.drain},
            )
            yield Step(
                Phase.CLEANUP,
                Action.STOP,
                f"stop revision {old} on {host.name}",
                host.name,
                {"revision": old},
            )
    for host in state.hosts:
        yield Step(Phase.CLEANUP, Action.PRUNE, f"prune old releases on {host.name}", host.name)
    yield Step(Phase.CLEANUP, Action.RECORD, "write history and discard the package")
