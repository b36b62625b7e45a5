"""The plan of a drill: a rollback rehearsed beside what is live, without any live request.

It goes as far as a rollback goes before its switch, asks what it started through the name of its
release, and takes everything away again.  What ran already, kept warm, is only asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from turnout.base.errors import Impossible
from turnout.domain import parts, swaps
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action, Plan, Step
from turnout.wire.project import Intent


def drill(
    state: ScopeState, target: Revision, intent: Intent, warnings: Sequence[str] = ()
) -> Plan:
    """Return the steps that rehearse the rollback to *target*.

    Args:
        state: The scope and its hosts as they are.
        target: What the rollback would bring back.
        intent: The configuration with which *target* was live.
        warnings: What :func:`feasibility` has to say about the rollback.

    Raises:
        Impossible: Nothing is live, or *target* cannot run beside what is.
    """
    live = state.live
    if live is None:
        raise Impossible(
            "There is nothing to roll back",
            subject=state.scope,
            why="no release is live in this environment",
            next_step="Deploy a release first.",
        )
    if (target.exclusive or live.exclusive) and swaps.runs_beside(state, target):
        raise Impossible(
            "The rollback cannot be rehearsed",
            subject=state.scope,
            why="the app cannot run twice at once (run.exclusive), and a drill leaves what is live"
            " alone",
            next_step="See what the rollback would do with 'turnout rollback --plan'.",
        )
    preparation = tuple(_preparation(state, target))
    return Plan(
        kind=Kind.ROLLBACK,
        scope=state.scope,
        strategy="blue-green",
        release=target.release,
        revision=target.revision,
        live_release=live.release,
        steps=(
            *preparation,
            *_rehearsal(state, target, intent),
            *_removal(preparation),
            Step(Phase.VERIFICATION, Action.RECORD, "write history and discard the package"),
        ),
        notes=(
            "A drill: no live request is answered by what it starts, and all of that is removed.",
            *(f"{text[0].upper()}{text[1:]}." for text in warnings),
        ),
    )


def _preparation(state: ScopeState, target: Revision) -> Iterator[Step]:
    yield from parts.check_hosts(state)
    yield parts.seal(target)
    for host in state.hosts:
        yield from parts.bring_up(host, state, target, Phase.PREPARATION)
    for host in state.hosts:
        yield parts.await_ready(host, target, Phase.PREPARATION)
    for host in state.hosts:
        yield parts.expose(host, state, target, Phase.PREPARATION)


def _rehearsal(state: ScopeState, target: Revision, intent: Intent) -> Iterator[Step]:
    health = intent.component.health
    for host in state.hosts:
        yield parts.probe(host, target, Phase.EXECUTION, health.path, health.expect)
    yield Step(
        Phase.EXECUTION,
        Action.VERIFY,
        f"see {target.release[:12]} answer through the router under the name of its release",
        args={"seconds": 0.0},
    )


def _removal(preparation: Sequence[Step]) -> Iterator[Step]:
    """Yield the undo of what was prepared, newest first, as steps of their own."""
    for step in reversed(preparation):
        if step.undo is not None and step.undo.action is not Action.DISCARD:
            yield Step(
                Phase.VERIFICATION, step.undo.action, step.undo.title, step.host, step.undo.args
            )
