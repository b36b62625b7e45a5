"""Going back: the plan of a manual rollback, and what a failed deployment takes back."""

from __future__ import annotations

import pytest

from turnout import rollback, strategies
from turnout.base.errors import Conflict
from turnout.domain.facts import HostState, Revision, ScopeState
from turnout.wire.project import Component, Intent, RunSpec

OLD = Revision("0" * 16, "a" * 64, static=False, instances=1)
NEW = Revision("1" * 16, "b" * 64, static=False, instances=1)
INTENT = Intent(
    project="shop",
    environment="production",
    component=Component(run=RunSpec(command=("node", "server.js"))),
)


def _state(*running: Revision) -> ScopeState:
    host = HostState(
        "local",
        frozenset({OLD.release, NEW.release}),
        {one.revision: frozenset({0}) for one in running},
        frozenset(),
        {NEW.revision: 100},
    )
    return ScopeState("shop/production", (host,), live=NEW, earlier=(OLD.release,))


def _steps(plan: object) -> list[tuple[str, str]]:
    return [(step.phase.value, step.action.value) for step in plan.steps]  # type: ignore[attr-defined]


def test_back_to_a_warm_release_starts_nothing_and_undoes_nothing_but_the_switch() -> None:
    plan = rollback.plan(_state(OLD, NEW), OLD, INTENT)
    assert _steps(plan) == [
        ("initiation", "check-host"),
        ("preparation", "seal"),
        ("preparation", "stage"),
        ("preparation", "start"),
        ("preparation", "probe"),
        ("execution", "switch"),
        ("verification", "verify"),
        ("verification", "confirm"),
        ("verification", "record"),
    ]
    assert {s.undo.action for s in plan.steps if s.undo} == {"discard", "switch-back"}
    assert plan.notes == ()


def test_back_to_a_cold_release_starts_it_first() -> None:
    plan = rollback.plan(_state(NEW), OLD, INTENT)
    assert ("preparation", "await-ready") in _steps(plan)
    assert ("preparation", "expose") in _steps(plan)
    assert {s.undo.action for s in plan.steps if s.undo} == {
        "discard",
        "stop",
        "conceal",
        "switch-back",
    }
    assert "not warm everywhere" in plan.notes[0]


def test_back_to_what_is_live_moves_nothing() -> None:
    plan = rollback.plan(_state(NEW), NEW, INTENT)
    assert [action for _, action in _steps(plan)] == [
        "check-host",
        "probe",
        "verify",
        "confirm",
        "record",
    ]


def test_nothing_was_ever_live() -> None:
    with pytest.raises(Conflict, match="nothing to roll back"):
        rollback.plan(ScopeState("shop/production", (HostState("local"),)), OLD, INTENT)


def test_what_was_begun_is_taken_back_newest_first() -> None:
    plan = strategies.plan(_state(NEW), OLD, INTENT)
    begun = [(at, step) for at, step in enumerate(plan.steps) if at <= plan.confirmed_at]
    undo = rollback.undo_plan(begun)

    positions = [step.position for step in undo.steps]
    assert positions == sorted(positions, reverse=True)
    assert undo.steps[0].undo.action == "switch-back"
    assert undo.traffic_moved


def test_nothing_is_taken_back_of_what_was_not_begun() -> None:
    plan = strategies.plan(_state(NEW), OLD, INTENT)
    undo = rollback.undo_plan(list(enumerate(plan.steps))[:2])
    assert [step.undo.action for step in undo.steps] == ["discard"]
    assert not undo.traffic_moved


def test_past_the_point_of_no_return_nothing_is_taken_back() -> None:
    rollout = INTENT.rollout.model_validate(
        {"commands": [{"name": "migrate", "command": ["x"], "irreversible": True}]}
    )
    plan = strategies.plan(_state(NEW), OLD, INTENT.model_copy(update={"rollout": rollout}))
    line = plan.no_return_at
    assert line is not None

    before = rollback.undo_plan(list(enumerate(plan.steps))[:line])
    assert before.frozen is None
    assert before.steps
    past = rollback.undo_plan(list(enumerate(plan.steps))[: line + 1])
    assert past.frozen == "run 'migrate' on local (point of no return)"
    assert past.steps == ()
