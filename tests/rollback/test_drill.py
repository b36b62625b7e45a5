"""The drill: as far as a rollback goes before its switch, and everything taken away again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turnout import rollback, strategies
from turnout.base.errors import Impossible, InvalidInput
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.domain.phases import Phase
from turnout.domain.steps import Action, Plan, plan_from_json
from turnout.wire.project import Component, Intent, RunSpec

OLD = Revision("0" * 16, "a" * 64, static=False, instances=2)
NEW = Revision("1" * 16, "b" * 64, static=False, instances=1)
SITE = Revision("2" * 16, "c" * 64, static=True, instances=0)
INTENT = Intent(
    project="shop",
    environment="production",
    component=Component(run=RunSpec(command=("serve",), instances=2)),
)


def _state(*running: Revision, hosts: tuple[str, ...] = ("web-1", "web-2")) -> ScopeState:
    up = {one.revision: frozenset(range(one.instances)) for one in running}
    held = frozenset(one.release for one in running)
    return ScopeState(
        "shop/production",
        tuple(HostState(name, held, up, weights={NEW.revision: 100}) for name in hosts),
        live=NEW,
    )


def _actions(plan: Plan, phase: Phase) -> list[str]:
    return [step.action.value for step in plan.steps if step.phase is phase]


def test_nothing_in_it_moves_traffic_or_becomes_live() -> None:
    plan = rollback.drill(_state(NEW), OLD, INTENT)
    moving = {Action.SWITCH, Action.SWITCH_OFF, Action.RAMP, Action.CONFIRM, Action.BRIDGE}
    assert not moving & {step.action for step in plan.steps}
    assert plan.confirmed_at == len(plan.steps)
    assert "removed" in plan.notes[0]


def test_what_it_brings_and_starts_is_removed_newest_first() -> None:
    plan = rollback.drill(_state(NEW), OLD, INTENT)
    assert _actions(plan, Phase.EXECUTION) == ["probe", "probe", "verify"]
    removal = [
        (step.action.value, step.host, step.args.get("index"))
        for step in plan.steps
        if step.phase is Phase.VERIFICATION
    ]
    assert removal == [
        ("conceal", "web-2", None),
        ("conceal", "web-1", None),
        ("stop", "web-2", 1),
        ("stop", "web-2", 0),
        ("unstage", "web-2", None),
        ("stop", "web-1", 1),
        ("stop", "web-1", 0),
        ("unstage", "web-1", None),
        ("record", None, None),
    ]


def test_what_ran_already_is_asked_and_left_alone() -> None:
    state = replace(_state(OLD, NEW), earlier=(OLD.release,))
    plan = rollback.drill(state, OLD, INTENT, ("its names are others",))
    assert _actions(plan, Phase.VERIFICATION) == ["record"]
    assert plan.notes[1:] == ("Its names are others.",)


def test_what_cannot_run_beside_the_live_release_is_no_drill() -> None:
    with pytest.raises(Impossible, match="cannot be rehearsed"):
        rollback.drill(_state(NEW), replace(OLD, exclusive=True), INTENT)
    with pytest.raises(Impossible, match="nothing to roll back"):
        rollback.drill(replace(_state(NEW), live=None), OLD, INTENT)


def test_a_deployment_rehearses_before_its_validation_goes_on() -> None:
    state = _state(NEW)
    plan = strategies.plan(state, OLD, INTENT)
    found = rollback.rehearsed(plan, state)
    new = [step for step in found.steps if step not in plan.steps]
    assert [step.action.value for step in new] == ["start", "await-ready", "stop"] * 2
    assert {step.phase for step in new} == {Phase.VALIDATION}
    first = found.steps.index(new[0])
    assert found.steps[first - 1].phase is Phase.STAGING
    assert list(plan.steps) == [step for step in found.steps if step not in new]
    start = new[0]
    assert start.undo is not None
    assert (start.undo.action, start.undo.args) == (Action.STOP, new[2].args)
    assert start.args["revision"] not in (OLD.revision, NEW.revision)
    assert plan_from_json(found.to_json()) == found


def test_a_baseline_is_a_rehearsal_already() -> None:
    rollout = INTENT.rollout.model_validate({"strategy": "canary", "canary": {"baseline": True}})
    intent = INTENT.model_copy(update={"rollout": rollout})
    state = _state(NEW)
    plan = strategies.plan(state, OLD, intent)
    assert rollback.rehearsed(plan, state) == plan


@pytest.mark.parametrize("live", [None, SITE, OLD])
def test_where_there_is_nothing_to_rehearse_the_plan_stays(live: Revision | None) -> None:
    state = replace(_state(NEW), live=live)
    plan = strategies.plan(state, OLD, INTENT)
    assert rollback.rehearsed(plan, state) == plan


def test_a_live_release_that_cannot_run_twice_is_told() -> None:
    state = replace(_state(NEW), live=replace(NEW, exclusive=True))
    rollout = INTENT.rollout.model_validate({"strategy": "recreate"})
    plan = strategies.plan(state, OLD, INTENT.model_copy(update={"rollout": rollout}))
    with pytest.raises(InvalidInput, match="drill_within"):
        rollback.rehearsed(plan, state)
