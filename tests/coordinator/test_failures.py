"""Every step of every plan fails once for good, and the environment is as it was before.

The steps are enumerated from the plans, so a new step is covered without anyone remembering.
A mutant in which one undo is skipped must be noticed, or these tests would prove nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import APP, SITE, Rig, launched, request
from turnout.base import failpoints
from turnout.base.errors import Failed
from turnout.coordinator import attempts
from turnout.coordinator.attempts import Attempt
from turnout.domain.retry import RetryPolicy
from turnout.domain.steps import Action, Plan, plan_from_json
from turnout.wire.api import DeploymentDetail
from turnout.wire.project import CheckSpec

pytestmark = pytest.mark.anyio

CHECKS = (CheckSpec(name="works", path="/check"),)
UNDOS = {
    Action.DISCARD,
    Action.UNSTAGE,
    Action.CONCEAL,
    Action.STOP,
    Action.SWITCH_BACK,
    Action.BRIDGE,
}


@asynccontextmanager
async def _case(
    directory: Path, name: str
) -> AsyncIterator[tuple[Rig, Callable[[], Awaitable[str]]]]:
    """Yield a prepared rig, and what starts the deployment that shall fail."""
    directory.mkdir()
    async with launched(Rig(directory, GatedHost())) as rig:
        component = SITE if "site" in name else APP
        if "first" not in name:
            await rig.run("one", component)
        if "rollback" in name:
            await rig.run("two", component, keep_warm=900.0 if "warm" in name else 0.0)
        if "repair" in name:
            rig.host.instances.clear()

        async def start() -> str:
            if "rollback" in name:
                return await rig.rollback()
            wanted = "one" if "repair" in name else "three"
            return await rig.deploy(
                rig.release(wanted),
                component,
                checks=CHECKS,
                keep_warm=0.0,
                domains=("shop.example",),
            )

        yield rig, start


CASES = [
    "first app",
    "first site",
    "app",
    "site",
    "repair of an app",
    "rollback of an app",
    "warm rollback of an app",
    "rollback of a site",
]


async def _fail_everywhere(
    rig: Rig,
    start: Callable[[], Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
    moments: tuple[str, ...],
    actions: set[Action] | None = None,
) -> list[str]:
    """Fail at each step up to the confirmation; return where the environment was changed."""
    wanted = ""

    async def reached(name: str) -> None:
        if name == wanted:
            raise Failed("A test failed it", facts={"final": True})

    monkeypatch.setattr(failpoints, "reached", reached)
    before = rig.picture()
    changed: list[str] = []
    plan: Plan | None = None
    position = 0
    while plan is None or position < plan.confirmed_at:
        for moment in moments:
            # The plan is known only once it was made: the first round fails at its first step.
            action = plan.steps[position].action if plan else Action.CHECK_HOST
            if actions is not None and plan is not None and action not in actions:
                continue
            wanted = f"server.step.{position}-{action}.{moment}"
            found: DeploymentDetail = await rig.ended(await start())
            assert found.status in ("failed", "rolled_back"), (wanted, found.reason)
            assert "A test failed it" in found.reason, (wanted, found.reason)
            if rig.picture() != before:
                changed.append(wanted)
                return changed
            plan = _plan(rig, found.id)
        position += 1
    return changed


def _plan(rig: Rig, deployment: str) -> Plan:
    return plan_from_json(rig.ctx.ledger.row(deployment)["plan"])


@pytest.mark.parametrize(
    "case",
    # Two of them at every check; all of them with the tests that take their time.
    [
        case if case in ("app", "site") else pytest.param(case, marks=pytest.mark.real)
        for case in CASES
    ],
)
@pytest.mark.parametrize("moment", ["inside", pytest.param("before", marks=pytest.mark.real)])
async def test_a_failure_anywhere_leaves_the_environment_as_it_was(
    case: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _case(tmp_path / "case", case) as (rig, start):
        assert await _fail_everywhere(rig, start, monkeypatch, (moment,)) == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("undo", "case"),
    [
        (Action.DISCARD, "app"),
        (Action.UNSTAGE, "app"),
        (Action.CONCEAL, "app"),
        (Action.STOP, "repair of an app"),
        (Action.SWITCH_BACK, "warm rollback of an app"),
        (Action.BRIDGE, "site"),
    ],
)
async def test_a_mutant_that_skips_an_undo_is_noticed(
    undo: Action, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Attempt._effect

    async def skipping(self: Attempt, mode: Any) -> dict[str, Any]:
        if mode == "undo" and self.action is undo:
            return {}
        return await original(self, mode)

    monkeypatch.setattr(Attempt, "_effect", skipping)
    async with _case(tmp_path / "case", case) as (rig, start):
        changed = await _fail_everywhere(
            rig, start, monkeypatch, ("inside",), actions={Action.VERIFY}
        )
        assert changed


@pytest.mark.real
async def test_every_undo_there_is_has_its_mutant(tmp_path: Path) -> None:
    found = set()
    for case in CASES:
        async with _case(tmp_path / case.replace(" ", "-"), case) as (rig, start):
            plan = _plan(rig, (await rig.ended(await start())).id)
            found |= {step.undo.action for step in plan.steps if step.undo}
    assert found == UNDOS


async def test_an_undo_that_fails_for_good_is_told_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reached(name: str) -> None:
        if name.startswith("server.undo.") and name.endswith("unstage.before"):
            raise Failed("The disk is stuck", facts={"final": True})
        if "-verify." in name and name.startswith("server.step."):
            raise Failed("A test failed it", facts={"final": True})

    async with _case(tmp_path / "case", "app") as (rig, start):
        monkeypatch.setattr(failpoints, "reached", reached)
        found = await rig.ended(await start())

    assert found.status == "rolled_back"
    assert found.problem is not None
    assert "The disk is stuck" in found.problem["facts"]["not_undone"][0]
    assert {step.status for step in found.steps if step.action == "stage"} == {"undo_failed"}


async def test_attempts_of_an_undo_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "UNDO_RETRIES", RetryPolicy(3, 0.01, 0.01))

    async def reached(name: str) -> None:
        if name.startswith("server.undo.") and "unstage" in name:
            raise Failed("The disk is stuck")
        if "-verify." in name:
            raise Failed("A test failed it", facts={"final": True})

    async with _case(tmp_path / "case", "app") as (rig, start):
        monkeypatch.setattr(failpoints, "reached", reached)
        found = await rig.ended(await start())
        retries = [e for e in rig.told(found.id) if e.kind == "step.retry"]

    assert [event.data["attempt"] for event in retries] == [1, 2]
    assert {step.attempts for step in found.steps if step.action == "stage"} == {3}


async def test_traffic_that_cannot_go_back_keeps_what_answers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reached(name: str) -> None:
        if "-switch-back." in name or "-verify." in name:
            raise Failed("A test failed it", facts={"final": True})

    async with _case(tmp_path / "case", "app") as (rig, start):
        monkeypatch.setattr(failpoints, "reached", reached)
        found = await rig.ended(await start())
        weights = rig.host.routes["shop/production"].weights

        assert found.status == "failed"
        assert weights == {APP.revision(found.release): 100}
        assert any(key[1] in weights for key in rig.host.instances)


def test_the_request_helper_knows_where_a_field_belongs() -> None:
    made = request("a" * 64, drain=3.0, queue=False, domains=("a.example",))
    assert (made.intent.rollout.drain, made.queue, made.intent.domains) == (
        3.0,
        False,
        ("a.example",),
    )
