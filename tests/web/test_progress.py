"""Phases and steps: what happens now is open, what is to come is there, the line is drawn."""

from __future__ import annotations

from tests.web import samples
from turnout.web.progress import phases
from turnout.wire.api import PhaseDocument, WaitingFor


def test_the_phase_under_way_is_open() -> None:
    found = phases(samples.canary(), samples.NOW)
    assert [phase.name for phase in found if phase.is_open] == ["Promotion"]
    assert [phase.status for phase in found[:5]] == ["done"] * 4 + ["running"]
    assert found[2].steps[0].again == "attempt 2"
    assert found[2].steps[0].undo == "discard the unpacked release"
    assert ("files", "812") in found[2].steps[0].facts


def test_the_point_of_no_return_is_before_its_step() -> None:
    found = phases(samples.canary(at=2), samples.NOW)
    lines = [step.number for phase in found for step in phase.steps if step.line_before]
    assert lines == [6]
    assert [phase.name for phase in found if phase.has_line] == ["Validation"]
    assert found[3].is_open, "it is seen before it is crossed"


def test_who_approves_sees_the_whole_plan() -> None:
    waiting = WaitingFor(kind="approval", since=samples.NOW)
    found = phases(samples.canary(at=2, waiting_for=waiting), samples.NOW)
    assert all(phase.is_open for phase in found[2:])


def test_a_deployment_in_the_queue_has_its_phases_ahead() -> None:
    queued = samples.canary(status="queued", phases=(), steps=(), phase=None)
    assert [phase.status for phase in phases(queued, samples.NOW)] == ["pending"] * 7


def test_a_failure_stands_open_with_its_rollback() -> None:
    detail = samples.canary(at=8)
    steps = tuple(
        step.model_copy(update={"status": "undone"}) if step.index == 6 else step
        for step in detail.steps
    )
    back = PhaseDocument(name="rollback.execution", status="running", started_at=samples.NOW)
    detail = detail.model_copy(update={"steps": steps, "phases": (*detail.phases, back)})
    last = phases(detail, samples.NOW)[-1]
    assert (last.name, last.undoing, last.is_open, last.key) == (
        "Execution", True, True, "rollback-execution",
    )  # fmt: skip


def test_what_ran_when_it_was_called_off_is_not_said_to_run_on() -> None:
    detail = samples.canary(at=9, status="aborted", finished_at=samples.NOW)
    steps = tuple(
        step.model_copy(update={"status": "undone"}) if step.index == 8 else step
        for step in detail.steps
    )
    promotion = phases(detail.model_copy(update={"steps": steps}), samples.NOW)[4]
    shown = {step.number: (step.status, step.tone, step.took) for step in promotion.steps}
    assert shown[9] == ("undone", "idle", "") and shown[10] == ("stopped", "idle", "")
    assert (promotion.done, promotion.undone) == (2, 1)
