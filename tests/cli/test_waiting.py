"""A deployment that waits says for what, and which command ends it; a plan says so before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.documents import AT, ID, OLDER, RELEASE, deployment, plan
from tests.cli.fake_server import FakeServer

APPROVAL = {
    "kind": "approval",
    "name": "qa",
    "since": AT,
    "until": AT,
    "reason": "somebody has to approve the plan",
    "ways_out": ["approve", "reject", "abort"],
}


def test_deploy_says_how_to_approve(run: Run, fake: FakeServer, site: Path) -> None:
    fake.happenings = [
        ("gate.waiting", {"step": 3, "name": "qa", "kind_of_gate": "approval"}),
        ("gate.opened", {"step": 3, "name": "qa", "approved_by": "ann"}),
        ("hold.started", {"step": 4, "weight": 5, "seconds": 120}),
        ("hold.extended", {"step": 4, "reason": "only 7 requests"}),
        ("decision.made", {"what": "go-on", "weight": 5, "reason": "no worse", "verdict": "good"}),
        ("deployment.frozen", {"reason": "a probe failed", "line": "migrate"}),
    ]
    said = run("deploy", "--to", "production").stderr
    assert "waiting for approval 'qa': `turnout approve dep-000000001` says yes" in said
    assert "`turnout reject dep-000000001`" in said
    assert "gate 'qa': approved by ann" in said
    assert "holding at 5 % for 2 m 00 s" in said
    assert "undecided: only 7 requests; `turnout promote-now dep-000000001`" in said
    assert "decided: go on at 5 %: no worse" in said
    assert "FROZEN: a probe failed; 'migrate' cannot be taken back" in said


def test_who_begins_to_follow_later_is_told_too(run: Run, fake: FakeServer, site: Path) -> None:
    start = fake.start

    def waiting(*args: object) -> object:
        answer = start(*args)  # type: ignore[arg-type]
        fake.deployments[ID].update(status="waiting", waiting_for=APPROVAL)
        return answer

    fake.start = waiting  # type: ignore[method-assign, assignment]
    said = run("deploy", "--to", "production").stderr
    assert "waits for approval 'qa' since" in said
    assert f"`turnout approve {ID}` says yes" in said


def test_show_says_what_is_waited_for(run: Run, fake: FakeServer) -> None:
    part = {"revision": "12" * 8, "release": RELEASE, "role": "candidate", "weight": 5}
    step = {"index": 0, "phase": "promotion", "action": "command", "host": None, "attempts": 0}
    fake.deployments[ID] = deployment(
        status="waiting",
        waiting_for=APPROVAL,
        split=[part],
        phases=[{"name": "promotion", "status": "running"}],
        steps=[{**step, "title": "migrate", "status": "pending", "irreversible": True}],
    )
    text = run("show", ID).stdout
    assert "waits for approval 'qa'" in text and f"`turnout approve {ID}` says yes" in text
    assert f"5 % candidate {RELEASE[:12]}" in text
    before, _, after = text.partition("point of no return")
    assert "migrate" not in before and "migrate" in after


def test_plan_says_in_words_what_matters(run: Run, fake: FakeServer, site: Path) -> None:
    step = {"phase": "promotion", "host": None, "undo": None}
    note = "Downtime: shop/production answers 503 until the new release is healthy."
    fake.documents["/plans"] = {
        **plan({"release": RELEASE}),
        "notes": [note],
        "steps": [
            {**step, "index": 0, "action": "gate", "title": "wait for approval 'qa'"},
            {**step, "index": 1, "action": "hold", "title": "hold at 5 % for 120 s and judge"},
            {
                **step,
                "index": 2,
                "action": "command",
                "title": "run 'migrate' on local (point of no return)",
                "irreversible": True,
            },
            {**step, "index": 3, "action": "switch", "title": "give it all", "undo": "take it"},
        ],
    }
    result = run("plan", "--to", "production", "--strategy", "canary")
    words, _, steps = result.stdout.partition("promotion:")
    assert note in words
    assert "Point of no return: step 3, run 'migrate' on local" in words
    assert "gates, which have to say yes:\n  step 1: wait for approval 'qa'" in words
    assert "step 2: hold at 5 % for 120 s and judge" in words
    before, _, after = steps.partition("---- point of no return")
    assert "hold at 5 %" in before and "migrate" not in before
    assert "migrate" in after and "taken back by: take it" in after
    assert not fake.deployments


def test_every_strategy_is_taken(run: Run, fake: FakeServer, site: Path) -> None:
    for name in ("auto", "blue-green", "rolling", "canary", "recreate"):
        run("plan", "--to", "production", "--strategy", name)
        asked = fake.requests("POST", "/plans")[-1].json
        assert asked["intent"]["rollout"]["strategy"] == name


def test_rollbacks_of_a_kind(run: Run, fake: FakeServer, site: Path) -> None:
    words = ("--at", "2026-11-20T14:00:00+01:00", "--only", "code", "--drill", "--force")
    assert run("rollback", "production", *words).exit_code == 0
    (asked,) = fake.requests("POST", "/rollbacks")
    assert asked.json["at"] == "2026-11-20T13:00:00Z"
    assert (asked.json["only"], asked.json["drill"], asked.json["force"]) == ("code", True, True)
    for wrong in (
        ("--at", "yesterday"),
        ("--at", "2026-11-20T14:00", "--to", OLDER),
        ("--only", "Half!"),
        ("--at", "9999-99-99"),
    ):
        result = run("rollback", "production", *wrong)
        assert result.exit_code == 2, wrong
        assert "next:" in result.stderr
    assert len(fake.requests("POST", "/rollbacks")) == 1


@pytest.mark.parametrize("works", [True, False])
def test_a_drill_does_not_claim_that_it_is_live(
    run: Run, fake: FakeServer, site: Path, works: bool
) -> None:
    start = fake.start
    fake.end = "succeeded" if works else "failed"

    def drill(*args: object) -> object:
        answer = start(*args)  # type: ignore[arg-type]
        shown = {"would_work": works, "ready_s": 1.5, "fails": "await health: it crashed"}
        fake.deployments[ID] |= {"drill": True, "drilled": shown}
        return answer

    fake.start = drill  # type: ignore[method-assign, assignment]
    result = run("rollback", "production", "--drill")
    assert result.exit_code == (0 if works else 1)
    ended = f"rehearsal {fake.end}: rollback of shop/production to {OLDER[:12]}"
    assert ended in result.stdout and "serves" not in result.stdout
    told = "would work and be ready in 1.5 s" if works else "would NOT work: await health: it cra"
    assert told in result.stdout
    assert "Rehearsing a rollback of shop/production" in result.stderr
