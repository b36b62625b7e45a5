"""Canary deployments, weight by weight."""

from __future__ import annotations

from typing import Any

from tests.strategies import scenes
from turnout import strategies
from turnout.domain.splits import baseline_revision
from turnout.domain.steps import Action, Plan
from turnout.wire.project import Component

LIVE, CANDIDATE = "0" * 16, "1" * 16
BASELINE = baseline_revision(LIVE, CANDIDATE)


def _plan(component: Component, *, gates: tuple[dict[str, Any], ...] = (), **canary: Any) -> Plan:
    live = scenes.revision(component, scenes.OLD)
    state = scenes.scope(live, scenes.host("web-1", live))
    intent = scenes.intent(component, "canary", canary=canary, gates=gates, drain=30.0)
    return strategies.plan(state, scenes.revision(component), intent)


def _switches(plan: Plan) -> list[dict[str, Any]]:
    return [dict(step.args) for step in plan.steps if step.action is Action.SWITCH]


def _promotion(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps if step.phase == "promotion"]


def test_the_written_schedule() -> None:
    testers = [{"header": "X-Beta"}]
    plan = _plan(
        scenes.app(1),
        steps=[{"weight": 5, "hold": 120, "on_unknown": "abort"}, {"weight": 50}],
        testers=testers,
    )
    marks = {
        "candidate": CANDIDATE,
        "baseline": None,
        "sticky": True,
        "testers": [{"header": "X-Beta", "cookie": None, "value": None}],
    }
    assert _switches(plan) == [
        {"weights": {CANDIDATE: 5, LIVE: 95}, "split": marks},
        {"weights": {CANDIDATE: 50, LIVE: 50}, "split": marks},
        {"weights": {CANDIDATE: 100}},
    ]
    undone = [step.undo for step in plan.steps if step.action is Action.SWITCH]
    assert all(undo and undo.args == {"weights": {LIVE: 100}} for undo in undone)
    (hold,) = (step.args for step in plan.steps if step.action is Action.HOLD)
    assert (hold["weight"], hold["control"], hold["control_weight"]) == (5, LIVE, 95)
    assert (hold["seconds"], hold["max_seconds"], hold["on_unknown"]) == (120.0, 1200.0, "abort")


def test_a_baseline_is_as_many_and_as_old_and_gives_way_above_half() -> None:
    plan = _plan(
        scenes.app(4),
        steps=[{"weight": 30, "hold": 60}, {"weight": 70, "hold": 60}],
        baseline=True,
        scale=True,
    )
    assert [switch["weights"] for switch in _switches(plan)] == [
        {CANDIDATE: 30, LIVE: 40, BASELINE: 30},
        {CANDIDATE: 70, BASELINE: 30},
        {CANDIDATE: 100},
    ]
    starts = [step for step in plan.steps if step.action is Action.START]
    assert [(s.phase.value, s.args.get("of", "new"), s.args["index"]) for s in starts] == [
        ("staging", "new", 0),
        ("staging", "new", 1),
        ("staging", "live", 0),
        ("staging", "live", 1),
        ("promotion", "new", 2),
        ("promotion", "new", 3),
    ]
    controls = [
        (step.args["control"], step.args["control_weight"])
        for step in plan.steps
        if step.action is Action.HOLD
    ]
    assert controls == [(BASELINE, 30), (BASELINE, 30)]
    gone = [step.args["revision"] for step in plan.steps if step.phase == "cleanup" and step.args]
    assert gone == [BASELINE, BASELINE]
    assert all(
        step.undo is not None and step.undo.args["revision"] == BASELINE
        for step in starts
        if "of" in step.args
    )


def test_instances_follow_the_weight_and_are_ready_before_it() -> None:
    plan = _plan(scenes.app(4), steps=[{"weight": 5}, {"weight": 60}], scale=True)
    short = scenes.NEW[:12]
    assert _promotion(plan) == [
        f"give {short} 5 % of the traffic of web-1",
        f"start instance 1 of {short} on web-1",
        f"start instance 2 of {short} on web-1",
        f"wait until instance 1 of {short} is healthy on web-1",
        f"wait until instance 2 of {short} is healthy on web-1",
        f"give {short} 60 % of the traffic of web-1",
        f"start instance 3 of {short} on web-1",
        f"wait until instance 3 of {short} is healthy on web-1",
        f"switch web-1 from {scenes.OLD[:12]} to {short}",
    ]


def test_approvals_come_before_the_weight_and_behind_its_gates() -> None:
    plan = _plan(
        scenes.app(1),
        steps=[{"weight": 10, "approval": True}, {"weight": 50, "approval": True}],
        gates=(
            {"name": "half", "kind": "approval", "before": "weight:50"},
            {"name": "ask", "kind": "webhook", "url": "http://hook/", "hook": "confirm-promotion"},
            {"name": "load", "kind": "webhook", "url": "http://hook/", "hook": "load-test"},
        ),
    )
    short = scenes.NEW[:12]
    assert _promotion(plan) == [
        "wait for approval of 10 %",
        f"give {short} 10 % of the traffic of web-1",
        "wait for approval 'half'",
        "wait for approval of 50 %",
        f"give {short} 50 % of the traffic of web-1",
        "ask the webhook 'ask'",
        f"switch web-1 from {scenes.OLD[:12]} to {short}",
    ]
    first, second = (step.args for step in plan.steps if step.action is Action.HOLD)
    assert (first["seconds"], first["approval"], first["judge"]) == (0.0, True, False)
    assert (second["weight"], second["judge"]) == (10, True)


def test_an_automatic_schedule_is_one_ramp() -> None:
    plan = _plan(scenes.app(2), steps="auto", auto={"first": 2}, baseline=True)
    actions = [step.action.value for step in plan.steps if step.phase == "promotion"]
    assert actions == ["switch", "ramp", "switch"]
    ramp = next(step for step in plan.steps if step.action is Action.RAMP)
    assert (ramp.args["first"], ramp.args["max"], ramp.args["hosts"]) == (2, 100, ["web-1"])
    assert (ramp.args["control"], ramp.args["split"]["baseline"]) == (BASELINE, BASELINE)
    assert ramp.undo is None


def test_an_automatic_schedule_stops_at_every_gate() -> None:
    plan = _plan(
        scenes.app(1),
        steps="auto",
        gates=(
            {"name": "half", "kind": "approval", "before": "weight:50"},
            {"name": "all", "kind": "approval", "before": "switch"},
        ),
    )
    ramps = [step.args for step in plan.steps if step.action is Action.RAMP]
    assert [(ramp["first"], ramp["max"]) for ramp in ramps] == [(1, 49), (50, 99)]


def test_a_canary_that_ends_at_all_traffic_is_judged_by_the_record_before() -> None:
    plan = _plan(scenes.app(1), steps=[{"weight": 100, "hold": 60}])
    assert len(_switches(plan)) == 1
    (hold,) = (step.args for step in plan.steps if step.action is Action.HOLD)
    assert (hold["weight"], hold["control"], hold["history"]) == (100, LIVE, True)


def test_a_static_site_has_no_baseline_of_its_own() -> None:
    plan = _plan(scenes.SITE, steps=[{"weight": 10, "hold": 60}], baseline=True)
    assert any("static site has no instances" in note for note in plan.notes)
    actions = [step.action.value for step in plan.steps if step.phase == "promotion"]
    # The assets of earlier releases are kept reachable once, before the first request moves.
    assert actions == ["bridge", "switch", "hold", "switch"]


def test_the_first_release_goes_live_at_once() -> None:
    component = scenes.app(2)
    plan = strategies.plan(
        scenes.scope(None, scenes.host("web-1")),
        scenes.revision(component),
        scenes.intent(component, "canary"),
    )
    assert plan.strategy == "canary"
    assert _switches(plan) == [{"weights": {CANDIDATE: 100}}]
    assert plan.notes == ("First release of this environment: it goes live at once.",)
