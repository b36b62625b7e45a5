"""What people asked of a deployment stands among its decisions, with the weight of that moment."""

from __future__ import annotations

from datetime import UTC, datetime

from turnout.coordinator.asked import by_people


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_each_has_the_weight_and_the_verdict_of_its_moment() -> None:
    seen = [
        {"at": 10.0, "w": 5, "v": "unknown", "step": 7},
        {"at": 11.0, "w": 25, "v": "good", "step": 9},
    ]
    told = [
        (at(9.0), "approval.given", {"step": 6, "by": "ada", "reason": "go"}),
        (at(10.5), "deployment.pause_asked", {"by": "bob", "why": "lunch"}),
        (at(30.0), "deployment.abort_asked", {"by": "ada", "why": ""}),
    ]
    approved, paused, aborted = by_people(told, seen)
    assert (approved.what, approved.step, approved.weight, approved.verdict) == (
        "approved", 6, 0, "unknown",
    )  # fmt: skip
    assert (approved.by, approved.reason) == ("ada", "go")
    assert (paused.what, paused.step, paused.weight, paused.reason) == ("pause", 7, 5, "lunch")
    assert (aborted.what, aborted.step, aborted.weight, aborted.verdict) == (
        "abort-asked", 9, 25, "good",
    )  # fmt: skip
