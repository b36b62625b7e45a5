"""Actions are offered when they are possible, and say why when they are not."""

from __future__ import annotations

import pytest

from tests.web import samples
from turnout.web.actions import Action, actions
from turnout.wire.api import DeploymentDetail, WaitingFor


def of(detail: DeploymentDetail, **environment: object) -> dict[str, Action]:
    place = samples.environment_of(detail, **environment)
    return {one.verb: one for one in actions(detail, place)}


def test_a_hold_can_be_paused_promoted_and_aborted() -> None:
    found = of(samples.canary())
    assert [verb for verb, one in found.items() if not one.why_not] == ["pause", "promote", "abort"]
    assert all(one.warning for one in found.values() if one.danger), "danger asks once more"


def test_an_approval_is_bound_to_the_plan() -> None:
    waiting = WaitingFor(kind="approval", since=samples.NOW, ways_out=("approve", "reject"))
    found = of(samples.canary(waiting_for=waiting))
    assert not found["approve"].why_not and not found["reject"].why_not
    assert found["approve"].fields == (("digest", "f" * 64),)


def test_what_is_paused_is_resumed() -> None:
    found = of(samples.canary(status="paused", waiting_for=None))
    assert "pause" not in found and not found["resume"].why_not


def test_what_is_confirmed_cannot_be_aborted() -> None:
    found = of(samples.canary(at=11, status="running", waiting_for=None, split=()))
    assert "confirmed" in found["abort"].why_not
    assert "confirmed" in found["pause"].why_not


def test_what_is_taken_back_cannot_be_aborted() -> None:
    found = of(samples.canary(phase="rollback.execution", status="running", waiting_for=None))
    assert "taken back" in found["abort"].why_not


def test_a_failed_step_is_retried() -> None:
    detail = samples.canary()
    steps = (detail.steps[0].model_copy(update={"status": "failed"}), *detail.steps[1:])
    assert of(detail)["retry"].why_not
    assert not of(detail.model_copy(update={"steps": steps}))["retry"].why_not


def test_the_live_release_goes_back_to_the_one_that_was_shown() -> None:
    ended = samples.canary(at=13, status="succeeded", waiting_for=None, split=())
    found = of(ended, live_release=samples.RELEASE)
    assert list(found) == ["retry", "rollback"]
    assert found["rollback"].fields == (("to", "12" * 32),)
    assert "121212121212" in found["rollback"].warning


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"live_release": samples.LIVE}, "no longer live"),
        ({"live_release": samples.RELEASE, "previous_release": None}, "No earlier release"),
    ],
)
def test_why_there_is_no_way_back(environment: dict[str, object], why: str) -> None:
    ended = samples.canary(at=13, status="succeeded", waiting_for=None, split=())
    assert why in of(ended, **environment)["rollback"].why_not


def test_an_environment_that_cannot_be_read_has_no_way_back() -> None:
    ended = samples.canary(at=13, status="succeeded", waiting_for=None, split=())
    assert "could not be read" in actions(ended, None)[1].why_not
    failed = samples.canary(status="failed", waiting_for=None, split=())
    assert "ended as failed" in of(failed)["rollback"].why_not
