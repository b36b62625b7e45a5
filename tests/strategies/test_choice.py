"""What ``strategy = "auto"`` picks, and that it says why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.strategies import scenes
from turnout import strategies
from turnout.domain.steps import Action
from turnout.strategies.choose import requests_needed
from turnout.wire.project import Component

BUSY = {"requests_per_minute": 5000.0, "successes": 10}


@pytest.mark.parametrize(
    ("component", "facts", "strategy", "why"),
    [
        (scenes.app(1, exclusive=True), BUSY, "recreate", "cannot run twice"),
        (scenes.app(3, stateful=True), BUSY, "rolling", "several instances"),
        (scenes.app(1, stateful=True), BUSY, "blue-green", "one instance"),
        (scenes.app(3), BUSY, "canary", "about 5000 requests a minute"),
        (scenes.SITE, BUSY, "canary", "enough for a verdict"),
        (scenes.SITE, {}, "blue-green", "0 deployments went well"),
        (scenes.app(1), {"successes": 10}, "blue-green", "traffic is not known"),
        (scenes.app(3), {**BUSY, "successes": 2}, "blue-green", "make a history"),
        (scenes.app(3), {**BUSY, "requests_per_minute": 5.0}, "blue-green", "too few"),
    ],
)
def test_the_choice_follows_the_facts(
    component: Component, facts: dict[str, Any], strategy: str, why: str
) -> None:
    live = scenes.revision(component, scenes.OLD)
    state = scenes.scope(live, scenes.host("web-1", live), **facts)
    plan = strategies.plan(state, scenes.revision(component), scenes.intent(component, "auto"))
    assert plan.strategy == strategy
    assert plan.notes[0].startswith(f"Strategy chosen: {strategy}, because ")
    assert why in plan.notes[0]


def test_a_chosen_canary_follows_the_evidence_unless_it_has_a_schedule() -> None:
    component = scenes.app(1)
    live = scenes.revision(component, scenes.OLD)
    state = scenes.scope(live, scenes.host("web-1", live), **BUSY)
    plan = strategies.plan(state, scenes.revision(component), scenes.intent(component, "auto"))
    assert Action.RAMP in {step.action for step in plan.steps}
    written = scenes.intent(component, "auto", canary={"steps": [{"weight": 40, "hold": 5}]})
    plan = strategies.plan(state, scenes.revision(component), written)
    assert [step.args["weight"] for step in plan.steps if step.action is Action.HOLD] == [40]


def test_nothing_is_chosen_for_the_first_release_but_the_plain_way() -> None:
    component = scenes.app(1)
    state = scenes.scope(None, scenes.host("web-1"), **BUSY)
    plan = strategies.plan(state, scenes.revision(component), scenes.intent(component, "auto"))
    assert plan.strategy == "blue-green"
    assert "nothing is live yet" in plan.notes[0]


def test_a_longer_schedule_needs_less_traffic() -> None:
    short = scenes.intent(scenes.app(1), "auto", canary={"auto": {"deadline": 600}})
    long = scenes.intent(scenes.app(1), "auto", canary={"auto": {"deadline": 6000}})
    assert requests_needed(short) == pytest.approx(10 * requests_needed(long))
