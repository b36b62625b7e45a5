"""The pieces that most strategies share: the whole release beside the live one, one switch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnout.base.errors import InvalidInput
from turnout.domain import parts
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step, Undo
from turnout.strategies import holds
from turnout.strategies.frame import Course, Move
from turnout.wire.project import Intent


def course(
    state: ScopeState, revision: Revision, intent: Intent, strategy: str, notes: Iterable[str] = ()
) -> Course:
    """Return the course that starts everything and then switches every host at once."""
    return Course(
        strategy=strategy,
        staging=tuple(stage(state, revision)),
        validation=tuple(validate(state, revision, intent)),
        moves=(Move(100, tuple(switch_all(state, revision, intent))),),
        notes=tuple(notes),
    )


def stage(state: ScopeState, revision: Revision) -> Iterator[Step]:
    """Yield what brings a release to all hosts and starts all of it."""
    for host in state.hosts:
        yield from parts.bring_up(host, state, revision, Phase.STAGING)


def validate(state: ScopeState, revision: Revision, intent: Intent) -> Iterator[Step]:
    """Yield what shows that a release works, before any traffic."""
    for host in state.hosts:
        yield parts.await_ready(host, revision, Phase.VALIDATION)
    for host in state.hosts:
        yield from checks(host, intent, Phase.VALIDATION)
    for host in state.hosts:
        yield parts.expose(host, state, revision, Phase.VALIDATION)


def checks(host: HostState, intent: Intent, phase: Phase) -> Iterator[Step]:
    """Yield the project's own checks of what runs on a host."""
    for check in intent.checks:
        yield Step(
            phase,
            Action.CHECK,
            f"check '{check.name}' on {host.name}",
            host.name,
            check.model_dump(mode="json"),
        )


def switch_all(state: ScopeState, revision: Revision, intent: Intent) -> Iterator[Step]:
    """Yield the switch of every host to all traffic."""
    for host in state.hosts:
        yield from bridge(host, state, revision, intent)
        yield parts.switch(host, state, revision, Phase.PROMOTION)


def bridge(
    host: HostState, state: ScopeState, revision: Revision, intent: Intent
) -> Iterator[Step]:
    """Yield, for a static site, what keeps the assets of earlier releases reachable."""
    static = intent.component.static
    if static is not None:
        yield parts.bridge(host, state, revision, Phase.PROMOTION, static.bridge_releases)


def mirrored(
    state: ScopeState, revision: Revision, intent: Intent, percent: int, seconds: float
) -> Iterator[Step]:
    """Yield a time in which the candidate gets copies of live requests and is judged by them.

    Args:
        state: The scope; something is live there.
        revision: The candidate.
        intent: Whose analysis settings apply.
        percent: Share of the safe requests that is copied; 0 for no such time.
        seconds: At least so long.

    Raises:
        InvalidInput: Copies without a time, or a time without copies.
    """
    if not percent and not seconds:
        return
    if not percent or not seconds:
        raise InvalidInput(
            "Mirrored traffic needs both a share and a time",
            subject=state.scope,
            why="it has no time to be judged in" if percent else "nothing is mirrored in that time",
            next_step="Set 'mirror' and 'mirror_hold' (canary) or 'analyse_before' (blue-green).",
        )
    assert state.live is not None
    short = revision.release[:12]
    for host in state.hosts:
        yield Step(
            Phase.PROMOTION,
            Action.MIRROR,
            f"mirror {percent} % of the safe requests of {host.name} to {short}",
            host.name,
            {"revision": revision.revision, "percent": percent},
            Undo(
                Action.UNMIRROR,
                f"mirror no requests of {host.name} any more",
                {"revision": revision.revision},
            ),
        )
    pair = holds.Pair(revision.revision, state.live.revision, 0, 100)
    yield holds.judged(Phase.PROMOTION, intent, pair, seconds)
    for host in state.hosts:
        # Copies beside real requests would spoil the comparison.
        yield Step(
            Phase.PROMOTION,
            Action.UNMIRROR,
            f"end mirroring to {short} on {host.name}",
            host.name,
            {"revision": revision.revision},
        )
