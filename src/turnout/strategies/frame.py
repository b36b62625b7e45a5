"""The frame of every deployment: what comes before and after the moves of its strategy.

A strategy says what it stages, validates and moves (a :class:`Course`); the frame puts the
phases, gates and commands of the project around it.  Where they stand:

- A gate before a phase is the first of that phase.  A gate before a weight, or before the
  ``switch`` to all traffic, comes before the move that reaches it, and before anything is
  started or stopped for that move.
- Commands ``before-switch`` run before any traffic moves and ``after-switch`` when all has
  moved.  From the first irreversible one on they run as late as they can: right before the
  first move, and right before the confirmation, when all evidence is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from turnout.domain import parts
from turnout.domain.facts import Revision, ScopeState
from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action, Plan, Step
from turnout.strategies import commands, gates
from turnout.wire.project import Intent


@dataclass(frozen=True)
class Move:
    """Steps after which the candidate has *weight* percent of all traffic.

    Attributes:
        weight: Percent over all hosts.
        steps: What brings it there.
        after: What is waited for at that weight.
        before: What is waited for first, behind the gates; no command runs before it ends.
    """

    weight: int
    steps: tuple[Step, ...]
    after: tuple[Step, ...] = ()
    before: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Course:
    """What one strategy does in one deployment.

    Attributes:
        strategy: Its name.
        staging: Brings the release to the hosts.
        validation: Shows that it works before it gets traffic.
        moves: Moves the traffic, with rising weights; the last one reaches 100.
        prelude: Comes before the first move: mirrored traffic that is judged.
        verification: What is judged after the last move, before the confirmation.
        gone: Revisions of which nothing runs at the end, kept warm or not.
        commands_inside: Whether the moves hold the commands ``before-switch`` themselves.
        notes: Remarks for people.
    """

    strategy: str
    staging: tuple[Step, ...]
    validation: tuple[Step, ...]
    moves: tuple[Move, ...]
    prelude: tuple[Step, ...] = ()
    verification: tuple[Step, ...] = ()
    gone: frozenset[str] = frozenset()
    commands_inside: bool = False
    notes: tuple[str, ...] = ()


def plan(state: ScopeState, revision: Revision, intent: Intent, course: Course) -> Plan:
    """Return the whole plan of a deployment that takes *course*."""
    steps = tuple(_steps(state, revision, intent, course))
    return Plan(
        kind=Kind.DEPLOYMENT,
        scope=state.scope,
        strategy=course.strategy,
        release=revision.release,
        revision=revision.revision,
        live_release=state.live.release if state.live else None,
        steps=steps,
        notes=(*course.notes, *_line(steps)),
    )


def settled(state: ScopeState, revision: Revision, intent: Intent, strategy: str) -> Plan:
    """Return the plan for a release that is live already, whole, with this configuration."""
    health = intent.component.health
    steps = [
        *parts.check_hosts(state),
        *(
            parts.probe(host, revision, Phase.VALIDATION, health.path, health.expect)
            for host in state.hosts
        ),
        Step(
            Phase.VERIFICATION,
            Action.CONFIRM,
            "confirm that the release stays live",
            args={"keep_previous": True},
        ),
        Step(Phase.CLEANUP, Action.RECORD, "write history"),
    ]
    return Plan(
        kind=Kind.DEPLOYMENT,
        scope=state.scope,
        strategy=strategy,
        release=revision.release,
        revision=revision.revision,
        live_release=state.live.release if state.live else None,
        steps=tuple(steps),
        notes=("This release is live already with this configuration: nothing will move.",),
    )


def _steps(state: ScopeState, revision: Revision, intent: Intent, course: Course) -> Iterator[Step]:
    short = revision.release[:12]
    yield from parts.check_hosts(state)
    yield parts.seal(revision)
    yield from gates.before_phase(intent, Phase.STAGING)
    yield from course.staging
    yield from gates.before_phase(intent, Phase.VALIDATION)
    yield from course.validation
    yield from gates.before_phase(intent, Phase.PROMOTION)
    yield from _promotion(state, intent, course)
    yield from gates.before_phase(intent, Phase.VERIFICATION)
    yield from course.verification
    yield Step(
        Phase.VERIFICATION,
        Action.VERIFY,
        f"watch {short} for {intent.rollout.verify:g} s of live traffic",
        args={"seconds": intent.rollout.verify},
    )
    host = state.hosts[0]
    yield from commands.run(host, commands.late(intent, "after-switch"), Phase.VERIFICATION)
    confirmed: dict[str, object] = {"keep_previous": False}
    if state.live is not None and state.live.revision in course.gone:
        # What does not run any more is not kept warm either, whatever the project asks for.
        confirmed["keep_warm"] = 0.0
    yield Step(Phase.VERIFICATION, Action.CONFIRM, f"confirm {short} as live", args=confirmed)
    yield from gates.before_phase(intent, Phase.CLEANUP)
    yield from _cleanup(state, revision, intent, course.gone)


def _promotion(state: ScopeState, intent: Intent, course: Course) -> Iterator[Step]:
    host = state.hosts[0]
    inside = course.commands_inside
    if not inside:
        yield from commands.run(host, commands.early(intent, "before-switch"), Phase.PROMOTION)
    yield from course.prelude
    reached = 0
    for at, move in enumerate(course.moves):
        yield from gates.before_weight(intent, reached, move.weight)
        yield from move.before
        if at == 0:
            yield from gates.before_time(intent)
            if not inside:
                late = commands.late(intent, "before-switch")
                yield from commands.run(host, late, Phase.PROMOTION)
        yield from move.steps
        yield from move.after
        reached = max(reached, move.weight)
    yield from commands.run(host, commands.early(intent, "after-switch"), Phase.PROMOTION)


def _cleanup(
    state: ScopeState, revision: Revision, intent: Intent, gone: frozenset[str]
) -> Iterator[Step]:
    live = state.live.revision if state.live else None
    for host in state.hosts:
        standing = {*host.instances} | ({*host.weights} - {*host.sites}) | gone
        for old in sorted(standing):
            warm = old == live and intent.rollout.keep_warm > 0 and old not in gone
            if old == revision.revision or warm:
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


def _line(steps: tuple[Step, ...]) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        if step.irreversible:
            yield (
                f"Point of no return: step {number}, {step.title.removesuffix(commands.LINE)}."
                " Once it has begun, nothing is taken back by itself: a failure leaves the"
                " traffic where it is and calls for a human."
            )
            return
