"""Recreation: what cannot run twice ends before the next starts, and the plan says how long."""

from __future__ import annotations

import pytest

from tests.strategies import scenes
from tests.strategies.picture import lines
from turnout import rollback, strategies
from turnout.base.errors import InvalidInput

OLD, NEW = scenes.OLD[:12], scenes.NEW[:12]
APP = scenes.app(1, exclusive=True)
LIVE = scenes.revision(APP, scenes.OLD)
STATE = scenes.scope(LIVE, scenes.host("web-1", LIVE))


def test_all_that_can_be_done_beforehand_is() -> None:
    intent = scenes.intent(
        APP,
        "recreate",
        switch_at="2026-12-01T03:00:00+00:00",
        commands=[{"name": "migrate", "command": ["x"], "irreversible": True}],
    )
    plan = strategies.plan(STATE, scenes.revision(APP), intent)
    assert lines(plan) == [
        "initiation: check host web-1",
        f"preparation: seal and sign release {NEW}",
        f"staging: stage release {NEW} on web-1",
        "promotion: wait until 2026-12-01T03:00:00+00:00",
        "promotion: take shop/production off the air on web-1",
        f"promotion: drain instance 0 of {OLD} on web-1",
        f"promotion: stop instance 0 of {OLD} on web-1",
        "promotion: run 'migrate' on web-1 (point of no return)",
        f"promotion: start instance 0 of {NEW} on web-1",
        f"promotion: wait until {NEW} is healthy on web-1",
        "promotion: check 'works' on web-1",
        f"promotion: switch web-1 on with {NEW}",
        f"verification: watch {NEW} for 3 s of live traffic",
        f"verification: confirm {NEW} as live",
        "cleanup: drain revision 0000000000000000 on web-1",
        "cleanup: stop revision 0000000000000000 on web-1",
        "cleanup: prune old releases on web-1",
        "cleanup: write history and discard the package",
    ]
    downtime, line = plan.notes
    assert downtime.startswith("Downtime: shop/production answers 503")
    assert "at most 30 s" in downtime
    assert line.startswith("Point of no return: step 8, run 'migrate' on web-1.")
    confirm = plan.steps[plan.confirmed_at]
    assert confirm.args == {"keep_previous": False, "keep_warm": 0.0}


def test_taken_back_it_is_off_the_air_until_the_old_one_is_back() -> None:
    plan = strategies.plan(STATE, scenes.revision(APP), scenes.intent(APP, "recreate"))
    begun = list(enumerate(plan.steps[: plan.confirmed_at]))
    undo = rollback.undo_plan(begun)
    assert [step.undo.action.value for step in undo.steps] == [
        "switch-off",
        "stop",
        "restore",
        "restore",
        "switch-back",
        "unstage",
        "discard",
    ]
    assert undo.live_disturbed
    # All instances of the live release at once would run beside the new one.
    assert not undo.prepare_live


@pytest.mark.parametrize("strategy", ["blue-green", "rolling", "canary"])
def test_every_other_strategy_is_refused_and_the_right_one_named(strategy: str) -> None:
    with pytest.raises(InvalidInput) as error:
        strategies.plan(STATE, scenes.revision(APP), scenes.intent(APP, strategy))
    assert "'recreate'" in error.value.next_step


def test_an_exclusive_live_release_is_not_run_beside_either() -> None:
    component = scenes.app(1)
    with pytest.raises(InvalidInput, match="side by side"):
        strategies.plan(STATE, scenes.revision(component), scenes.intent(component, "blue-green"))


def test_going_back_stops_what_is_live_first() -> None:
    new = scenes.revision(APP)
    state = scenes.scope(new, scenes.host("web-1", new), earlier=(scenes.OLD,))
    plan = rollback.plan(state, LIVE, scenes.intent(APP, "recreate"))
    assert plan.strategy == "recreate"
    assert [step.title for step in plan.steps if step.phase == "execution"] == [
        "take shop/production off the air on web-1",
        f"drain instance 0 of {NEW} on web-1",
        f"stop instance 0 of {NEW} on web-1",
        f"start instance 0 of {OLD} on web-1",
        f"wait until {OLD} is healthy on web-1",
        f"switch web-1 on with {OLD}",
    ]
    assert any(note.startswith("Downtime") for note in plan.notes)
