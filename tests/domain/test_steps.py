"""Plans as they are stored: what an older version wrote is read, and keeps its digest."""

from __future__ import annotations

import hashlib
import json

from turnout.domain.phases import Kind, Phase
from turnout.domain.steps import Action, Plan, Step, plan_from_json

STORED = {
    "kind": "deployment",
    "scope": "shop/production",
    "strategy": "blue-green",
    "release": "a" * 64,
    "revision": "0" * 16,
    "live_release": None,
    "steps": [
        {
            "phase": "promotion",
            "action": "switch",
            "title": "switch",
            "host": "local",
            "args": {"weights": {"0" * 16: 100}},
            "undo": {"action": "switch-back", "title": "back", "args": {"weights": {}}},
        }
    ],
    "notes": [],
}


def test_a_plan_without_the_newer_keys_is_read_and_keeps_its_digest() -> None:
    plan = plan_from_json(STORED)
    assert plan.no_return_at is None
    assert plan.to_json() == STORED
    text = json.dumps(STORED, sort_keys=True, separators=(",", ":"))
    assert plan.digest() == hashlib.sha256(text.encode()).hexdigest()


def test_the_point_of_no_return_is_the_first_irreversible_step() -> None:
    steps = tuple(
        Step(Phase.PROMOTION, Action.COMMAND, f"run {n}", "local", irreversible=n in (1, 2))
        for n in range(4)
    )
    plan = Plan(Kind.DEPLOYMENT, "s/p", "canary", "a" * 64, "0" * 16, None, steps)
    assert plan.no_return_at == 1
    assert plan_from_json(plan.to_json()) == plan
