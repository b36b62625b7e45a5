"""Steps that exchange single instances: taken out of the traffic, stopped, brought back."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.domain import parts
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Step, Undo


def await_instance(
    host: HostState, revision: Revision, index: int, phase: Phase, drain: float | None
) -> Step:
    """Return the step that waits until one more instance is healthy.

    Args:
        host: Where.
        revision: What it is an instance of.
        index: Its number.
        phase: The phase of the step.
        drain: Set when others of its revision keep their traffic while this one is taken back:
            it then has so many seconds to end its requests before it is stopped.
    """
    short = revision.release[:12]
    undo = None
    if drain is not None and index not in host.instances.get(revision.revision, frozenset()):
        undo = Undo(
            Action.DRAIN,
            f"drain instance {index} of {short} on {host.name}",
            {"revision": revision.revision, "index": index, "deadline": drain},
        )
    return Step(
        phase,
        Action.AWAIT_READY,
        f"wait until instance {index} of {short} is healthy on {host.name}",
        host.name,
        {"index": index},
        undo,
    )


def take_down(
    host: HostState, live: Revision, index: int, phase: Phase, drain: float
) -> Iterator[Step]:
    """Yield what ends one instance of the live release; both steps are undone by its return.

    Args:
        host: Where.
        live: The live release.
        index: Its instance.
        phase: The phase of the steps.
        drain: Seconds that its requests get to end.
    """
    name = f"instance {index} of {live.release[:12]}"
    which = {"revision": live.revision, "index": index}
    back = Undo(Action.RESTORE, f"bring back {name} on {host.name}", which)
    yield Step(
        phase,
        Action.DRAIN,
        f"drain {name} on {host.name}",
        host.name,
        {**which, "deadline": drain},
        back,
    )
    yield Step(phase, Action.STOP, f"stop {name} on {host.name}", host.name, which, back)


def switch_off(host: HostState, state: ScopeState, phase: Phase) -> Step:
    """Return the step that takes the scope off the air on a host."""
    before = state.live.release[:12] if state.live else "nothing"
    return Step(
        phase,
        Action.SWITCH_OFF,
        f"take {state.scope} off the air on {host.name}",
        host.name,
        {},
        Undo(
            Action.SWITCH_BACK,
            f"switch {host.name} back to {before}",
            {"weights": {state.live.revision: 100} if state.live else {}},
        ),
    )


def switch_on(host: HostState, revision: Revision, phase: Phase) -> Step:
    """Return the step that brings a scope back on the air with a revision.

    Undone, it is off the air again: what was live before does not run at that moment.
    """
    return Step(
        phase,
        Action.SWITCH,
        f"switch {host.name} on with {revision.release[:12]}",
        host.name,
        {"weights": {revision.revision: 100}},
        Undo(Action.SWITCH_OFF, f"take {host.name} off the air again", {}),
    )


def replace_all(
    state: ScopeState, revision: Revision, phase: Phase, drain: float
) -> tuple[list[Step], list[Step]]:
    """Return what ends everything else of the scope, and what starts *revision* in its place.

    Every host is off the air and every old instance stopped before the first new one starts,
    for the two must never run at once, not on different hosts either.

    Args:
        state: The scope and its hosts as they are.
        revision: What shall run alone.
        phase: The phase of the steps.
        drain: Seconds that requests get to end.
    """
    down = [switch_off(host, state, phase) for host in state.hosts]
    up: list[Step] = []
    for host in state.hosts:
        for old, indexes in sorted(host.instances.items()):
            if old == revision.revision:
                continue
            if state.live is not None and old == state.live.revision:
                for index in sorted(indexes):
                    down += take_down(host, state.live, index, phase, drain)
            else:
                # Only kept warm; it is a loss of time at most when it has to start again.
                down.append(
                    Step(
                        phase,
                        Action.STOP,
                        f"stop revision {old} on {host.name}",
                        host.name,
                        {"revision": old},
                    )
                )
        up += [parts.start(host, revision, index, phase) for index in range(revision.instances)]
    up += [parts.await_ready(host, revision, phase) for host in state.hosts]
    return down, up


def runs_beside(state: ScopeState, revision: Revision) -> bool:
    """Return whether instances of another revision run on any host."""
    return any({*host.instances} - {revision.revision} for host in state.hosts)
