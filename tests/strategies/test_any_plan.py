"""What holds for the plan of every strategy, in random scopes with random numbers."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import scenes
from tests.strategies.picture import Picture, picture
from turnout import rollback, strategies
from turnout.base.errors import InvalidInput
from turnout.domain.facts import ScopeState
from turnout.domain.phases import DEPLOYMENT_PHASES
from turnout.domain.splits import weights_at
from turnout.domain.steps import Action, Plan, plan_from_json
from turnout.strategies import batches
from turnout.wire.project import Component
from turnout.wire.rollout import Count, RollingSpec

COUNTS: st.SearchStrategy[Count] = st.one_of(
    st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "50%", "100%"])
)


@st.composite
def blue_greens(draw: st.DrawFn) -> dict[str, Any]:
    mirrored = draw(st.booleans())
    return {
        "strategy": "blue-green",
        "blue_green": {
            "mirror": 20 if mirrored else 0,
            "analyse_before": 30 if mirrored else 0,
            "analyse_after": draw(st.sampled_from([0, 60])),
        },
    }


@st.composite
def rollings(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "strategy": "rolling",
        "rolling": {
            "batch": draw(st.one_of(st.integers(1, 4), st.sampled_from(["25%", "100%"]))),
            "max_surge": draw(COUNTS),
            "max_unavailable": draw(COUNTS),
            "pause": draw(st.sampled_from([0, 5])),
            "verify": draw(st.sampled_from([0, 30])),
            "order": draw(st.sampled_from(["host", "spread"])),
        },
    }


@st.composite
def canaries(draw: st.DrawFn) -> dict[str, Any]:
    weights = sorted(draw(st.sets(st.integers(1, 100), min_size=1, max_size=5)))
    steps: Any = [
        {
            "weight": weight,
            "hold": draw(st.sampled_from([0, 30])),
            "approval": draw(st.booleans()),
        }
        for weight in weights
    ]
    mirrored = draw(st.booleans())
    return {
        "strategy": "canary",
        "canary": {
            "steps": draw(st.sampled_from([steps, "auto"])),
            "auto": {"first": draw(st.sampled_from([1, 5, 30, 60, 100]))},
            "baseline": draw(st.booleans()),
            "scale": draw(st.booleans()),
            "sticky": draw(st.booleans()),
            "mirror": 10 if mirrored else 0,
            "mirror_hold": 30 if mirrored else 0,
        },
    }


ROLLOUTS = st.one_of(
    blue_greens(),
    rollings(),
    canaries(),
    st.just({"strategy": "recreate"}),
    st.just({"strategy": "auto"}),
)


def _planned(place: tuple[ScopeState, Component], rollout: dict[str, Any]) -> Plan | None:
    state, component = place
    try:
        return strategies.plan(
            state, scenes.revision(component), scenes.intent(component, **rollout)
        )
    except InvalidInput as error:
        assert "could not move anything" in error.what
        return None


@given(place=scenes.places(), rollout=ROLLOUTS, keep=st.sampled_from([0, 900]))
@settings(max_examples=150, deadline=None)
def test_at_its_end_only_the_new_release_has_traffic(
    place: tuple[ScopeState, Component], rollout: dict[str, Any], keep: int
) -> None:
    plan = _planned(place, {**rollout, "keep_warm": keep})
    if plan is None:
        return
    seen = picture(place[0], plan)
    for step in plan.steps:
        seen.do(step)
        assert plan.strategy == "recreate" or not any(one.off for one in seen.machines.values())
    new = scenes.revision(place[1])
    for machine in seen.machines.values():
        assert machine.weights == {new.revision: 100}
        assert machine.serving(new.revision) == new.instances
        kept = {name for name, who in machine.ready.items() if who} - {new.revision}
        assert kept <= ({seen.live} if keep else set())


@given(place=scenes.places(), rollout=ROLLOUTS, data=st.data())
@settings(max_examples=200, deadline=None)
def test_taken_back_from_anywhere_all_is_as_it_was(
    place: tuple[ScopeState, Component], rollout: dict[str, Any], data: st.DataObject
) -> None:
    plan = _planned(place, rollout)
    if plan is None:
        return
    seen = picture(place[0], plan)
    before = seen.facts()
    begun = data.draw(st.integers(0, plan.confirmed_at))
    _walk(seen, plan, begun)
    machines = before[1]
    for name, machine in seen.facts()[1].items():
        # A release that is only kept warm gives way to one that has to run alone.
        lost = {*machines[name].ready} - {*machine.ready}
        assert lost == set() or plan.strategy == "recreate"
        assert seen.live not in lost
        for revision in lost:
            del machines[name].ready[revision]
    assert seen.facts() == before


@given(place=scenes.places(exclusive=True), data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_app_that_cannot_run_twice_never_does(
    place: tuple[ScopeState, Component], data: st.DataObject
) -> None:
    strategy = data.draw(st.sampled_from(["auto", "recreate"]))
    plan = _planned(place, {"strategy": strategy})
    assert plan is not None
    assert plan.strategy == "recreate"
    seen = picture(place[0], plan)
    begun = data.draw(st.integers(0, plan.confirmed_at))

    def alone() -> None:
        running = {
            name
            for machine in seen.machines.values()
            for name in {*machine.ready, *machine.starting}
            if machine.running(name)
        }
        assert plan.revision not in running or running == {plan.revision}

    for step in plan.steps[:begun]:
        seen.do(step)
        alone()
    for step in reversed(plan.steps[:begun]):
        seen.undo(step)
        alone()


@given(place=scenes.places(apps=True), rollout=rollings(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_rolling_deployment_keeps_its_capacity_on_both_ways(
    place: tuple[ScopeState, Component], rollout: dict[str, Any], data: st.DataObject
) -> None:
    plan = _planned(place, rollout)
    if plan is None:
        return
    state, component = place
    new = scenes.revision(component)
    wanted = new.instances * len(state.hosts)
    spec = RollingSpec.model_validate(rollout["rolling"])
    bounds = batches.limits(spec, wanted, new.instances, "")
    seen = picture(state, plan)

    def capacity() -> tuple[int, int]:
        both = (seen.live, plan.revision)
        hosts = seen.machines.values()
        return (
            sum(host.serving(name) for host in hosts for name in both),
            sum(host.running(name) for host in hosts for name in both),
        )

    serving, running = capacity()
    # Instances of the new release that run already take up room, but nobody counts on them yet.
    idle = sum(host.running(plan.revision) for host in seen.machines.values())
    floor = min(serving - idle, wanted - bounds.unavailable)
    ceiling = max(running, wanted + bounds.surge)

    def within() -> None:
        assert floor <= capacity()[0]
        assert capacity()[1] <= ceiling

    turn = data.draw(st.one_of(st.just(plan.confirmed_at), st.integers(0, plan.confirmed_at)))
    for step in plan.steps[:turn]:
        seen.do(step)
        within()
    for step in reversed(plan.steps[:turn]):
        seen.undo(step)
        within()


@given(place=scenes.places(), rollout=ROLLOUTS, gates=scenes.gates(), late=st.booleans())
@settings(max_examples=100, deadline=None)
def test_gates_and_commands_stand_where_they_belong(
    place: tuple[ScopeState, Component],
    rollout: dict[str, Any],
    gates: tuple[dict[str, Any], ...],
    late: bool,
) -> None:
    commands = [
        {"name": "before", "command": ["x"], "irreversible": late},
        {"name": "after", "command": ["x"], "when": "after-switch", "irreversible": late},
    ]
    plan = _planned(place, {**rollout, "gates": gates, "commands": commands})
    if plan is None:
        return
    phases = [DEPLOYMENT_PHASES.index(step.phase) for step in plan.steps]
    assert phases == sorted(phases)
    at = {step.args["name"]: n for n, step in enumerate(plan.steps) if step.action == "gate"}
    ran = {step.args["name"]: n for n, step in enumerate(plan.steps) if step.action == "command"}
    weight = _weights(place[0], plan)
    for gate in gates:
        position, place_of = at[gate["name"]], gate["before"]
        if place_of in ("switch", "weight:30"):
            threshold = 100 if place_of == "switch" else 30
            assert weight[position] < threshold
        else:
            assert plan.steps[position].phase == place_of
    assert weight[ran["before"]] == 0
    assert weight[ran["after"]] == 100
    assert ran["after"] < plan.confirmed_at
    assert (plan.no_return_at is not None) == late
    if late:
        assert plan.no_return_at == ran["before"]
        assert any(
            note.startswith(f"Point of no return: step {ran['before'] + 1}, run 'before' on")
            for note in plan.notes
        )
    assert plan_from_json(plan.to_json()) == plan


def _walk(seen: Picture, plan: Plan, begun: int) -> None:
    for step in plan.steps[:begun]:
        seen.do(step)
    undo = rollback.undo_plan(list(enumerate(plan.steps[:begun])))
    for step in undo.steps:
        seen.undo(plan.steps[step.position])


def _weights(state: ScopeState, plan: Plan) -> list[float]:
    """Return the candidate's percent before each step, and the gates' idea of it at a ramp."""
    hosts = {host.name: 0 for host in state.hosts}
    found = []
    for step in plan.steps:
        found.append(-(-sum(hosts.values()) // len(hosts)))
        if step.action is Action.SWITCH and step.host:
            hosts[step.host] = step.args["weights"].get(plan.revision, 0)
        if step.action is Action.RAMP:
            hosts = dict.fromkeys(hosts, step.args["max"])
    return found


@given(st.integers(0, 100), st.booleans())
def test_a_split_is_whole_and_fair_to_the_baseline(weight: int, baseline: bool) -> None:
    split = weights_at(weight, "new", "old", "base" if baseline else None)
    assert sum(split.values()) == 100
    assert split.get("new", 0) == weight
    assert all(split.values())
    if baseline:
        assert split.get("base", 0) == min(weight, 100 - weight)
