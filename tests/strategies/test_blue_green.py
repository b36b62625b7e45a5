"""The plans of blue-green, step by step."""

from __future__ import annotations

import pytest

from turnout import strategies
from turnout.base.errors import InvalidInput
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.steps import Plan, plan_from_json
from turnout.wire.project import CheckSpec, Component, Intent, Rollout, RunSpec, StaticSpec

OLD = Revision("0" * 16, "a" * 64, static=False, instances=1)
NEW = Revision("1" * 16, "b" * 64, static=False, instances=2)
SITE = Revision("2" * 16, "c" * 64, static=True, instances=0)
APP = Component(run=RunSpec(command=("node", "server.js"), instances=2))


def _intent(component: Component = APP, **rollout: object) -> Intent:
    return Intent(
        project="shop",
        environment="production",
        component=component,
        checks=(CheckSpec(name="works", path="/check"),),
        rollout=Rollout.model_validate({"drain": 30.0, **rollout}),
    )


def _steps(plan: Plan) -> list[tuple[str, str, str | None, str | None]]:
    return [
        (step.phase.value, step.action.value, step.host, step.undo and step.undo.action.value)
        for step in plan.steps
    ]


def test_the_first_release() -> None:
    plan = strategies.plan(ScopeState("shop/production", (HostState("local"),)), NEW, _intent())

    assert _steps(plan) == [
        ("initiation", "check-host", "local", None),
        ("preparation", "seal", None, "discard"),
        ("staging", "stage", "local", "unstage"),
        ("staging", "start", "local", "stop"),
        ("staging", "start", "local", "stop"),
        ("validation", "await-ready", "local", None),
        ("validation", "check", "local", None),
        ("validation", "expose", "local", "conceal"),
        ("promotion", "switch", "local", "switch-back"),
        ("verification", "verify", None, None),
        ("verification", "confirm", None, None),
        ("cleanup", "prune", "local", None),
        ("cleanup", "record", None, None),
    ]
    switch = next(step for step in plan.steps if step.action == "switch")
    assert switch.args == {"weights": {NEW.revision: 100}}
    # Nothing was live, so nothing has traffic once it is undone.
    assert switch.undo is not None
    assert switch.undo.args == {"weights": {}}
    assert plan.notes == ("First release of this environment: it goes live at once.",)


def _running(revision: Revision, *others: Revision) -> HostState:
    return HostState(
        "local",
        frozenset({revision.release}),
        {one.revision: frozenset(range(one.instances)) for one in (revision, *others)},
        frozenset(),
        {revision.revision: 100},
    )


def test_the_next_release_keeps_the_live_one_warm() -> None:
    state = ScopeState("shop/production", (_running(OLD),), live=OLD)
    plan = strategies.plan(state, NEW, _intent())

    assert "drain" not in {step.action for step in plan.steps}
    switch = next(step for step in plan.steps if step.action == "switch")
    assert switch.undo is not None
    assert switch.undo.args == {"weights": {OLD.revision: 100}}
    assert switch.title == "switch local from aaaaaaaaaaaa to bbbbbbbbbbbb"


def test_without_a_warm_time_the_live_one_goes_after_the_confirmation() -> None:
    state = ScopeState("shop/production", (_running(OLD),), live=OLD)
    plan = strategies.plan(state, NEW, _intent(keep_warm=0))

    gone = [(s.action, s.args["revision"]) for s in plan.steps if s.action in ("drain", "stop")]
    assert gone == [("drain", OLD.revision), ("stop", OLD.revision)]
    assert all(
        plan.steps.index(step) > plan.confirmed_at
        for step in plan.steps
        if step.action in ("drain", "stop")
    )


def test_an_older_warm_one_goes() -> None:
    older = Revision("3" * 16, "d" * 64, static=False, instances=1)
    state = ScopeState("shop/production", (_running(OLD, older),), live=OLD)
    plan = strategies.plan(state, NEW, _intent())
    assert [s.args["revision"] for s in plan.steps if s.action == "drain"] == [older.revision]


def test_what_is_there_already_is_not_taken_away_by_an_undo() -> None:
    state = ScopeState("shop/production", (_running(OLD, NEW),), live=OLD, earlier=(NEW.release,))
    held = state.hosts[0].releases | {NEW.release}
    host = HostState("local", held, state.hosts[0].instances, frozenset(), {OLD.revision: 100})
    state = ScopeState("shop/production", (host,), live=OLD, earlier=(NEW.release,))
    plan = strategies.plan(state, NEW, _intent())

    undone = {step.undo.action for step in plan.steps if step.undo}
    assert undone == {"discard", "switch-back"}


def test_a_release_of_another_environment_is_not_ours_to_keep() -> None:
    # Held on the host, but by no release of this scope: the claim of staging is taken back.
    host = HostState("local", frozenset({NEW.release}))
    plan = strategies.plan(ScopeState("shop/production", (host,)), NEW, _intent())
    stage = next(step for step in plan.steps if step.action == "stage")
    assert stage.undo is not None


def test_the_same_again_moves_nothing() -> None:
    state = ScopeState("shop/production", (_running(NEW),), live=NEW)
    plan = strategies.plan(state, NEW, _intent())
    assert [step.action for step in plan.steps] == ["check-host", "probe", "confirm", "record"]


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": {}},
        {"weights": {NEW.revision: 100, OLD.revision: 0}},
        {"instances": {NEW.revision: frozenset({0})}},
    ],
)
def test_the_same_again_where_something_is_missing_moves(changed: dict[str, object]) -> None:
    from dataclasses import replace

    host = replace(_running(NEW), **changed)
    plan = strategies.plan(ScopeState("shop/production", (host,), live=NEW), NEW, _intent())
    assert "switch" in {step.action for step in plan.steps}
    # Whatever is undone, the live release stays reachable.
    assert "conceal" not in {step.undo.action for step in plan.steps if step.undo}


def test_a_new_host_name_moves() -> None:
    state = ScopeState("shop/production", (_running(NEW),), live=NEW)
    intent = _intent().model_copy(update={"domains": ("shop.example",)})
    assert "switch" in {step.action for step in strategies.plan(state, NEW, intent).steps}


def test_a_site_is_built_and_bridged() -> None:
    live = Revision("4" * 16, "e" * 64, static=True, instances=0)
    host = HostState(
        "local", frozenset({live.release}), {}, frozenset({live.revision}), {live.revision: 100}
    )
    state = ScopeState(
        "shop/production",
        (host,),
        live=live,
        earlier=("f" * 64, "9" * 64),
        bridged=(live.release, "f" * 64),
    )
    plan = strategies.plan(state, SITE, _intent(Component(static=StaticSpec(bridge_releases=2))))

    bridge = next(step for step in plan.steps if step.action == "bridge")
    assert bridge.args == {"releases": [SITE.release, live.release, "f" * 64]}
    assert bridge.undo is not None
    assert bridge.undo.args == {"releases": [live.release, "f" * 64]}
    actions = [step.action for step in plan.steps]
    assert actions.index("bridge") < actions.index("switch")
    assert "start" not in actions


def test_a_plan_is_what_was_written_down() -> None:
    state = ScopeState("shop/production", (_running(OLD),), live=OLD)
    plan = strategies.plan(state, NEW, _intent())
    assert plan_from_json(plan.to_json()) == plan
    assert plan_from_json(plan.to_json()).digest() == plan.digest()


def test_mirrored_traffic_is_judged_before_the_switch_and_live_traffic_after() -> None:
    state = ScopeState("shop/production", (_running(OLD),), live=OLD)
    spec = {"mirror": 20, "analyse_before": 30, "analyse_after": 60}
    plan = strategies.plan(
        state, NEW, _intent(blue_green=spec, switch_at="2026-12-01T03:00:00+00:00")
    )

    assert _steps(plan)[-10:] == [
        ("promotion", "mirror", "local", "unmirror"),
        ("promotion", "hold", None, None),
        ("promotion", "unmirror", "local", None),
        ("promotion", "gate", None, None),
        ("promotion", "switch", "local", "switch-back"),
        ("verification", "hold", None, None),
        ("verification", "verify", None, None),
        ("verification", "confirm", None, None),
        ("cleanup", "prune", "local", None),
        ("cleanup", "record", None, None),
    ]
    before, after = (step.args for step in plan.steps if step.action == "hold")
    assert before == {
        "seconds": 30.0,
        "max_seconds": 300.0,
        "min_requests": 100,
        "on_unknown": "hold",
        "on_unavailable": "hold",
        "weight": 0,
        "candidate": NEW.revision,
        "control": OLD.revision,
        "control_weight": 100,
        "history": False,
        "approval": False,
        "judge": True,
    }
    assert (after["weight"], after["control_weight"], after["history"]) == (100, 0, True)
    gate = next(step for step in plan.steps if step.action == "gate")
    assert gate.args == {"name": "switch-at", "kind": "at", "at": "2026-12-01T03:00:00+00:00"}


@pytest.mark.parametrize("spec", [{"mirror": 20}, {"analyse_before": 30}])
def test_mirrored_traffic_needs_a_share_and_a_time(spec: dict[str, int]) -> None:
    state = ScopeState("shop/production", (_running(OLD),), live=OLD)
    with pytest.raises(InvalidInput, match="both a share and a time"):
        strategies.plan(state, NEW, _intent(blue_green=spec))
