"""Recreate: the old release ends before the new one starts, for apps that cannot run twice.

Everything that can be done beforehand is: the release is sealed, brought to every host and
unpacked while the old one still serves.
"""

from __future__ import annotations

from turnout.domain import swaps
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.parts import bring
from turnout.domain.phases import Phase
from turnout.domain.steps import Step
from turnout.strategies import commands, simple
from turnout.strategies.frame import Course, Move
from turnout.wire.project import Intent


def course(state: ScopeState, revision: Revision, intent: Intent) -> Course:
    """Return the course of a deployment with a downtime; another revision is live."""
    assert state.live is not None
    if not swaps.runs_beside(state, revision):
        note = "No other instance runs, so nothing has to stop first: no downtime."
        return simple.course(state, revision, intent, "recreate", (note,))
    phase, host = Phase.PROMOTION, state.hosts[0]
    down, up = swaps.replace_all(state, revision, phase, intent.rollout.drain)
    before = (
        *commands.early(intent, "before-switch"),
        *commands.late(intent, "before-switch"),
    )
    steps: list[Step] = [*down, *commands.run(host, before, phase), *up]
    for one in state.hosts:
        steps += simple.checks(one, intent, phase)
    for one in state.hosts:
        steps += simple.bridge(one, state, revision, intent)
        steps.append(swaps.switch_on(one, revision, phase))
    others = {name for one in state.hosts for name in one.instances} - {revision.revision}
    return Course(
        strategy="recreate",
        staging=tuple(
            step for one in state.hosts for step in bring(one, state, revision, Phase.STAGING)
        ),
        validation=(),
        moves=(Move(100, tuple(steps)),),
        gone=frozenset(others | {state.live.revision}),
        commands_inside=True,
        notes=(downtime(state, intent),),
    )


def downtime(state: ScopeState, intent: Intent) -> str:
    """Return the sentence that states the downtime of a recreation, with its longest parts."""
    run = intent.component.run
    grace = run.stop_grace if run else 0.0
    old = max(
        (
            len(host.instances.get(state.live.revision, ())) if state.live else 0
            for host in state.hosts
        ),
        default=0,
    )
    count = max(1, old) * len(state.hosts)
    return (
        f"Downtime: {state.scope} answers 503 from the moment it is taken off the air until the"
        f" new release is healthy: at most {intent.rollout.drain:g} s for requests to end and"
        f" {grace:g} s to stop, for each of {count} old instance{'s' * (count != 1)}, then up to"
        f" {intent.component.health.deadline:g} s for each host until the new one is healthy."
    )
