"""Steps that every strategy and the rollback are put together from."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step, Undo


def check_hosts(state: ScopeState) -> Iterator[Step]:
    """Yield a check of every host: reachable, its router up, room on its disk."""
    for host in state.hosts:
        yield Step(Phase.INITIATION, Action.CHECK_HOST, f"check host {host.name}", host.name)


def seal(revision: Revision) -> Step:
    """Return the step that seals and signs the release for the scope."""
    return Step(
        Phase.PREPARATION,
        Action.SEAL,
        f"seal and sign release {revision.release[:12]}",
        args={"release": revision.release},
        undo=Undo(Action.DISCARD, "discard the package"),
    )


def bring_up(
    host: HostState, state: ScopeState, revision: Revision, phase: Phase
) -> Iterator[Step]:
    """Yield what brings a release onto a host and starts all of it beside the live one."""
    yield from bring(host, state, revision, phase)
    for index in range(revision.instances):
        yield start(host, revision, index, phase)


def bring(host: HostState, state: ScopeState, revision: Revision, phase: Phase) -> Iterator[Step]:
    """Yield what brings a release onto a host; nothing of it is started."""
    short = revision.release[:12]
    held = revision.release in host.releases
    yield Step(
        phase,
        Action.STAGE,
        f"stage release {short} on {host.name}" + (" (held already)" if held else ""),
        host.name,
        {"release": revision.release},
        None
        # A host may hold it for another scope only; then this one's claim is taken back.
        if held and revision.release in (state.live and state.live.release, *state.earlier)
        else Undo(
            Action.UNSTAGE,
            f"remove release {short} from {host.name}",
            {"release": revision.release},
        ),
    )
    if revision.static:
        yield Step(
            phase,
            Action.BUILD_SITE,
            f"build the static root of {short} on {host.name}",
            host.name,
            undo=None
            if revision.revision in host.sites
            else Undo(Action.STOP, f"remove the static root of {short} from {host.name}"),
        )


def start(host: HostState, revision: Revision, index: int, phase: Phase) -> Step:
    """Return the step that makes one instance run; one that runs already is not stopped again."""
    short = revision.release[:12]
    warm = index in host.instances.get(revision.revision, frozenset())
    return Step(
        phase,
        Action.START,
        f"start instance {index} of {short} on {host.name}" + (" (warm)" if warm else ""),
        host.name,
        {"index": index},
        None
        if warm
        else Undo(
            Action.STOP, f"stop instance {index} of {short} on {host.name}", {"index": index}
        ),
    )


def await_ready(host: HostState, revision: Revision, phase: Phase) -> Step:
    """Return the step that waits until what was started of a revision is healthy."""
    return Step(
        phase,
        Action.AWAIT_READY,
        f"wait until {revision.release[:12]} is healthy on {host.name}",
        host.name,
    )


def is_up(host: HostState, revision: Revision) -> bool:
    """Return whether *revision* runs on *host* already, whole."""
    if revision.static:
        return revision.revision in host.sites
    running = host.instances.get(revision.revision, frozenset())
    return running >= frozenset(range(revision.instances))


def expose(host: HostState, state: ScopeState, revision: Revision, phase: Phase) -> Step:
    """Return the step that makes a revision reachable by its preview name, without traffic.

    What is live, or is kept warm, is reachable before and stays so when the step is undone.
    """
    known = is_up(host, revision) or (
        state.live is not None and state.live.revision == revision.revision
    )
    return Step(
        phase,
        Action.EXPOSE,
        f"make {revision.release[:12]} reachable for previews on {host.name}",
        host.name,
        undo=None
        if known
        else Undo(Action.CONCEAL, f"take {revision.release[:12]} out of the router on {host.name}"),
    )


def switch(host: HostState, state: ScopeState, revision: Revision, phase: Phase) -> Step:
    """Return the step that gives a revision all traffic of a host."""
    before = state.live.release[:12] if state.live else "nothing"
    return Step(
        phase,
        Action.SWITCH,
        f"switch {host.name} from {before} to {revision.release[:12]}",
        host.name,
        {"weights": {revision.revision: 100}},
        Undo(
            Action.SWITCH_BACK,
            f"switch {host.name} back to {before}",
            {"weights": {state.live.revision: 100} if state.live else {}},
        ),
    )


def bridge(
    host: HostState, state: ScopeState, revision: Revision, phase: Phase, reach: int
) -> Step:
    """Return the step that keeps hashed assets of the *reach* releases before reachable."""
    live = [state.live.release] if state.live else []
    earlier = [old for old in dict.fromkeys([*live, *state.earlier]) if old != revision.release]
    return Step(
        phase,
        Action.BRIDGE,
        f"keep hashed assets of earlier releases reachable on {host.name}",
        host.name,
        {"releases": [revision.release, *earlier[:reach]]},
        Undo(
            Action.BRIDGE,
            f"keep on {host.name} the hashed assets that were kept before",
            {"releases": list(state.bridged)},
        ),
    )


def is_settled(state: ScopeState, revision: Revision) -> bool:
    """Return whether *revision* is live, whole and has all traffic on every host."""
    return (
        state.live is not None
        and state.live.revision == revision.revision
        and all(
            is_up(host, revision) and dict(host.weights) == {revision.revision: 100}
            for host in state.hosts
        )
    )


def probe(host: HostState, revision: Revision, phase: Phase, path: str, expect: int) -> Step:
    """Return the step that asks what runs already for one good answer."""
    return Step(
        phase,
        Action.PROBE,
        f"probe {revision.release[:12]} on {host.name}",
        host.name,
        {"path": path, "expect": expect},
    )
