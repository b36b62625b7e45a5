"""From what a scope's routing says of clients, copies and limits to the words of the router."""

from __future__ import annotations

from turnout.base.errors import InvalidInput
from turnout.routers import port
from turnout.wire import agent as wire
from turnout.wire.project import Component


def check(wanted: wire.RoutesWanted) -> None:
    """Check that split and mirror name revisions that the routing can reach.

    Raises:
        InvalidInput: One of them is not among the revisions.
    """
    named = {route.revision for route in wanted.revisions}
    roles = {
        "candidate": wanted.split.candidate if wanted.split else None,
        "baseline": wanted.split.baseline if wanted.split else None,
        "mirror": wanted.mirror.revision if wanted.mirror else None,
    }
    for role, revision in roles.items():
        if revision is not None and revision not in named:
            raise InvalidInput(
                f"The {role} is not among the revisions",
                subject=f"{wanted.scope}/{revision}",
                next_step="Name it among the revisions of the routing.",
            )


def split(wanted: wire.Split | None) -> port.Split | None:
    """Return how the router tells clients apart."""
    if wanted is None:
        return None
    return port.Split(
        candidate=wanted.candidate,
        baseline=wanted.baseline,
        sticky=wanted.sticky,
        testers=tuple(port.Tester(t.header, t.cookie, t.value) for t in wanted.testers),
    )


def mirror(wanted: wire.Mirror | None) -> port.Mirror | None:
    """Return which revision gets copies."""
    return port.Mirror(wanted.revision, wanted.percent) if wanted else None


def limits(component: Component) -> port.Limits:
    """Return the circuit breakers of a component; a static site has none."""
    run = component.run
    return port.Limits(run.max_connections, run.max_requests) if run else port.Limits()
