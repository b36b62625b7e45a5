"""Rolling deployments, batch by batch."""

from __future__ import annotations

import pytest

from tests.strategies import scenes
from tests.strategies.picture import lines
from turnout import strategies
from turnout.base.errors import InvalidInput
from turnout.domain.steps import Action, Plan
from turnout.strategies import batches
from turnout.wire.rollout import RollingSpec

OLD, NEW = scenes.OLD[:12], scenes.NEW[:12]


def _plan(instances: int, *, hosts: int = 1, before: int | None = None, **rolling: object) -> Plan:
    live = scenes.revision(scenes.app(before or instances), scenes.OLD)
    state = scenes.scope(live, *(scenes.host(f"web-{n}", live) for n in range(1, hosts + 1)))
    component = scenes.app(instances)
    intent = scenes.intent(component, "rolling", rolling=rolling, drain=30.0)
    return strategies.plan(state, scenes.revision(component), intent)


def _promotion(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps if step.phase == "promotion"]


def test_one_instance_is_replaced_without_a_gap() -> None:
    assert lines(_plan(1)) == [
        "initiation: check host web-1",
        f"preparation: seal and sign release {NEW}",
        f"staging: stage release {NEW} on web-1",
        f"staging: start instance 0 of {NEW} on web-1",
        f"validation: wait until instance 0 of {NEW} is healthy on web-1",
        "validation: check 'works' on web-1",
        f"validation: make {NEW} reachable for previews on web-1",
        f"promotion: give {NEW} 100 % of the traffic of web-1",
        f"promotion: drain instance 0 of {OLD} on web-1",
        f"promotion: stop instance 0 of {OLD} on web-1",
        f"verification: watch {NEW} for 3 s of live traffic",
        f"verification: confirm {NEW} as live",
        "cleanup: drain revision 0000000000000000 on web-1",
        "cleanup: stop revision 0000000000000000 on web-1",
        "cleanup: prune old releases on web-1",
        "cleanup: write history and discard the package",
    ]


def test_a_single_instance_is_surged_whatever_the_limits_say() -> None:
    plan = _plan(1, max_surge=0, max_unavailable=1)
    assert _promotion(plan) == _promotion(_plan(1))
    assert any("one instance only" in note for note in plan.notes)


def test_batches_with_a_verdict_and_a_pause_between_them() -> None:
    assert _promotion(_plan(2, verify=30, pause=5)) == [
        f"give {NEW} 50 % of the traffic of web-1",
        f"drain instance 0 of {OLD} on web-1",
        f"stop instance 0 of {OLD} on web-1",
        "hold at 50 % for 30 s and judge",
        "pause at 50 % for 5 s",
        f"start instance 1 of {NEW} on web-1",
        f"wait until instance 1 of {NEW} is healthy on web-1",
        f"give {NEW} 100 % of the traffic of web-1",
        f"drain instance 1 of {OLD} on web-1",
        f"stop instance 1 of {OLD} on web-1",
    ]
    plan = _plan(2, verify=30, pause=5)
    holds = [step.args for step in plan.steps if step.action is Action.HOLD]
    assert [(hold["seconds"], hold["judge"], hold["history"]) for hold in holds] == [
        (30.0, True, False),
        (5.0, False, False),
        (30.0, True, True),
    ]


def test_every_step_says_how_it_is_taken_back() -> None:
    plan = _plan(2)
    assert [
        (step.undo.action.value, dict(step.undo.args))
        for step in reversed(plan.steps)
        if step.undo and step.phase == "promotion"
    ] == [
        ("restore", {"revision": "0" * 16, "index": 1}),
        ("restore", {"revision": "0" * 16, "index": 1}),
        ("switch-back", {"weights": {"1" * 16: 50, "0" * 16: 50}}),
        ("drain", {"revision": "1" * 16, "index": 1, "deadline": 30.0}),
        ("stop", {"index": 1}),
        ("restore", {"revision": "0" * 16, "index": 0}),
        ("restore", {"revision": "0" * 16, "index": 0}),
        ("switch-back", {"weights": {"0" * 16: 100}}),
    ]


def test_without_a_surge_the_old_one_goes_first() -> None:
    titles = _promotion(_plan(2, max_surge=0, max_unavailable=1))
    assert titles[:3] == [
        f"drain instance 0 of {OLD} on web-1",
        f"stop instance 0 of {OLD} on web-1",
        f"start instance 0 of {NEW} on web-1",
    ]
    assert f"make {NEW} reachable for previews on web-1" in titles


@pytest.mark.parametrize(
    ("order", "first"), [("host", ["web-1", "web-1"]), ("spread", ["web-1", "web-2"])]
)
def test_a_batch_takes_one_host_or_many(order: str, first: list[str]) -> None:
    plan = _plan(2, hosts=2, batch=2, max_surge=2, order=order)
    started = [step.host for step in plan.steps if step.action is Action.START]
    assert started[:2] == first


def test_another_number_of_instances() -> None:
    plan = _plan(1, before=3)
    # One is asked for, so two of three may go before it starts; the last waits until it is ready.
    assert [title.split(" of ")[0] for title in _promotion(plan)] == [
        "drain instance 0",
        "stop instance 0",
        "drain instance 1",
        "stop instance 1",
        "start instance 0",
        "wait until instance 0",
        "check 'works' on web-1",
        f"make {NEW} reachable for previews on web-1",
        f"give {NEW} 100 %",
        "drain instance 2",
        "stop instance 2",
    ]


def test_a_static_site_rolls_host_by_host() -> None:
    live = scenes.revision(scenes.SITE, scenes.OLD)
    state = scenes.scope(live, *(scenes.host(f"web-{n}", live) for n in range(1, 4)))
    intent = scenes.intent(scenes.SITE, "rolling", rolling={"batch": "50%", "verify": 10})
    plan = strategies.plan(state, scenes.revision(scenes.SITE), intent)
    moved = [
        (step.action.value, step.host or step.args["weight"])
        for step in plan.steps
        if step.action in (Action.SWITCH, Action.HOLD)
    ]
    assert moved == [
        ("switch", "web-1"),
        ("switch", "web-2"),
        ("hold", 66),
        ("switch", "web-3"),
        ("hold", 100),
    ]


@pytest.mark.parametrize(
    ("spec", "numbers"),
    [
        ({}, (1, 1, 0)),
        ({"batch": "25%", "max_surge": "25%", "max_unavailable": "25%"}, (2, 2, 1)),
        ({"batch": "100%", "max_surge": 3, "max_unavailable": "10%"}, (5, 3, 0)),
    ],
)
def test_percents_never_take_capacity_by_rounding(
    spec: dict[str, object], numbers: tuple[int, int, int]
) -> None:
    found = batches.limits(RollingSpec.model_validate(spec), 5, 5, "")
    assert (found.batch, found.surge, found.unavailable) == numbers


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"max_surge": 0, "max_unavailable": 0}, "are both 0"),
        ({"max_surge": 0, "max_unavailable": "10%"}, "max_unavailable = '10%'"),
        ({"batch": 0}, "batch = 0"),
    ],
)
def test_what_could_never_move_is_refused(spec: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidInput) as error:
        _plan(2, **spec)
    assert why in error.value.why
