"""Releases, hosts and projects that the tests of the strategies share, fixed and random."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.wire.project import CheckSpec, Component, Intent, Rollout, RunSpec, StaticSpec

OLD, NEW, OLDER = "a" * 64, "b" * 64, "c" * 64
SITE = Component(static=StaticSpec())


def app(instances: int = 1, **run: Any) -> Component:
    """Return a server app."""
    return Component(run=RunSpec(command=("serve",), instances=instances, **run))


def intent(component: Component, strategy: str, **rollout: Any) -> Intent:
    """Return a project's intent for one environment."""
    return Intent(
        project="shop",
        environment="production",
        component=component,
        checks=(CheckSpec(name="works", path="/check"),),
        rollout=Rollout.model_validate({"strategy": strategy, **rollout}),
    )


def revision(component: Component, release: str = NEW) -> Revision:
    """Return the revision of a release that *component* describes."""
    run = component.run
    digit = {OLD: "0", NEW: "1", OLDER: "2"}[release]
    return Revision(
        digit * 16,
        release,
        static=run is None,
        instances=run.instances if run else 0,
        exclusive=run is not None and run.exclusive,
    )


def host(name: str, live: Revision | None = None, **running: Any) -> HostState:
    """Return a host on which *live* runs whole and has all traffic."""
    if live is None:
        return HostState(name)
    facts: dict[str, Any] = {
        "releases": frozenset({live.release}),
        "instances": {live.revision: frozenset(range(live.instances))} if live.instances else {},
        "sites": frozenset({live.revision} if live.static else ()),
        "weights": {live.revision: 100},
    }
    return HostState(name, **{**facts, **running})


def scope(live: Revision | None, *hosts: HostState, **facts: Any) -> ScopeState:
    """Return a scope."""
    return ScopeState("shop/production", hosts, live=live, **facts)


@st.composite
def places(
    draw: st.DrawFn, *, exclusive: bool = False, apps: bool = False
) -> tuple[ScopeState, Component]:
    """Return a random scope in which another release is live, and what is deployed to it.

    Args:
        draw: Hypothesis gives it.
        exclusive: Only apps that cannot run twice.
        apps: Only server apps, before and after.
    """
    sites = [] if apps else [SITE]
    component = draw(
        st.one_of(*map(st.just, sites), st.builds(app, st.integers(1, 5)))
        if not exclusive
        else st.builds(app, st.integers(1, 3), exclusive=st.just(True))
    )
    before = draw(
        st.sampled_from([*sites, app(1), app(3), component]) if not exclusive else st.just(app(2))
    )
    live = revision(before, OLD)
    new = revision(component)
    hosts = []
    for number in range(draw(st.integers(1, 3))):
        instances: dict[str, frozenset[int]] = {}
        if live.instances:
            down = draw(st.sets(st.integers(1, 4), max_size=2))
            instances[live.revision] = frozenset(range(live.instances)) - down
        if new.instances and not exclusive:
            warm = draw(st.sets(st.integers(0, new.instances - 1)))
            if warm:
                instances[new.revision] = frozenset(warm)
        if draw(st.booleans()):
            instances[revision(app(1), OLDER).revision] = frozenset({0})
        held = {OLD, OLDER} | ({NEW} if new.revision in instances else set())
        hosts.append(host(f"web-{number}", live, instances=instances, releases=frozenset(held)))
    return scope(live, *hosts, earlier=(NEW, OLDER)), component


def gates() -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    """Return random gates."""
    places = st.sampled_from(
        ["staging", "validation", "promotion", "verification", "cleanup", "switch", "weight:30"]
    )
    return st.lists(places, max_size=3, unique=True).map(
        lambda found: tuple(
            {"name": f"gate-{at}", "kind": "approval", "before": place}
            for at, place in enumerate(found)
        )
    )
