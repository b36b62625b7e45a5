"""Every strategy from its start to its end, with live traffic that is good, bad, slow or away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.pumping import Pump, pumping
from tests.coordinator.rig import APP, SITE, Rig, launched, request
from turnout.base.errors import Failed, Impossible
from turnout.coordinator import freezing, hooks
from turnout.coordinator.run import Run
from turnout.coordinator.tables import deployments
from turnout.domain.splits import baseline_revision
from turnout.wire.agent import CommandResult
from turnout.wire.api import DeploymentDetail
from turnout.wire.project import Component
from turnout.wire.rollout import (
    Allowance,
    AnalysisSpec,
    AutoSchedule,
    BlueGreenSpec,
    CanarySpec,
    CanaryStep,
    CommandSpec,
    GateSpec,
    RollingSpec,
)

pytestmark = pytest.mark.anyio

ERRORS = AnalysisSpec(
    error_rate=Allowance(max_increase=0.005), latency_p99=Allowance(max_increase=0.2)
)
STEPS = (CanaryStep(weight=5, hold=0.5, max_hold=20), CanaryStep(weight=50, hold=0.5, max_hold=20))
LONG_S = 25.0
"""Of holds that a verdict shall end, however busy the machine is."""
CANARY: dict[str, Any] = {
    "strategy": "canary",
    "canary": CanarySpec(steps=STEPS),
    "analysis": ERRORS,
}


@pytest.fixture
async def rig(
    anyio_backend: str, tmp_path: Path, host: GatedHost, migrated: Path
) -> AsyncIterator[Rig]:
    shutil.copy(migrated, tmp_path / "turnout.db")
    async with launched(Rig(tmp_path, host, collects=False)) as found:
        yield found


@pytest.fixture
async def pump(rig: Rig) -> AsyncIterator[Pump]:
    async with pumping(rig) as found:
        rig.host.made_up.requests = 400
        yield found


def several(count: int) -> Component:
    assert APP.run is not None
    return APP.model_copy(update={"run": APP.run.model_copy(update={"instances": count})})


def revision(rig: Rig, name: str, component: Component = APP) -> str:
    return component.revision(rig.release(name))


def weights(rig: Rig) -> dict[str, int]:
    return dict(rig.host.routes["shop/production"].weights)


async def waiting(rig: Rig, deployment: str, kind: str) -> DeploymentDetail:
    """Wait until a deployment waits for something, and return how it stands then."""
    async with asyncio.timeout(20):
        async for _ in rig.events.follow(0, deployment=deployment):
            found = await rig.coordinator.show(deployment)
            if found.waiting_for is not None and found.waiting_for.kind == kind:
                assert found.waiting_for.until is not None
                assert found.waiting_for.ways_out
                return found
    raise AssertionError("unreachable")


async def test_a_healthy_canary_goes_through_its_steps(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    deployment = await rig.deploy(rig.release("two"), **CANARY)
    found = await waiting(rig, deployment, "hold")
    assert [(part.role, part.weight) for part in found.split] == [("candidate", 5), ("live", 95)]
    assert found.plan_digest
    assert any(step.undo for step in found.steps)
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason
    assert ended.split == ()
    assert ended.waiting_for is None
    assert weights(rig) == {revision(rig, "two"): 100}
    papers = await rig.coordinator.evidence(deployment, 50)
    assert [one.what for one in papers.decisions].count("go-on") == 2
    assert {point.weight for point in papers.points} == {5, 50}
    last = papers.points[-1].candidate
    assert last.p99 is not None
    assert last.p99_low is not None and last.p99_high is not None
    assert last.p99_low <= last.p99 <= last.p99_high


@pytest.mark.parametrize("baseline", [False, True])
async def test_a_canary_with_errors_goes_back(rig: Rig, pump: Pump, baseline: bool) -> None:
    await rig.run("one")
    rig.host.made_up.errors[revision(rig, "bad")] = 0.05
    spec = CanarySpec(steps=(CanaryStep(weight=20, hold=LONG_S),), baseline=baseline)
    ended = await rig.run("bad", **{**CANARY, "canary": spec})
    assert ended.status == "rolled_back", ended.reason
    assert "error" in ended.reason
    assert weights(rig) == {revision(rig, "one"): 100}
    papers = await rig.coordinator.evidence(ended.id, 50)
    assert papers.verdict is not None
    assert papers.verdict.verdict == "bad"
    assert papers.decisions[-1].what == "abort"
    lax = AnalysisSpec(error_rate=Allowance(max_increase=0.5), latency_p99=None)
    again = await rig.coordinator.replay(ended.id, lax)
    assert again.verdict.verdict != "bad"
    assert again.actual is not None and again.actual.verdict == "bad"
    assert len(again.points) > 1
    same = await rig.coordinator.replay(ended.id, ERRORS)
    assert same.verdict.verdict == "bad"


async def test_a_slow_canary_goes_back(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    rig.host.made_up.slow[revision(rig, "slow")] = 0.1
    spec = CanarySpec(steps=(CanaryStep(weight=50, hold=LONG_S),))
    ended = await rig.run("slow", **{**CANARY, "canary": spec})
    assert ended.status == "rolled_back", ended.reason
    assert "p99" in ended.reason
    assert weights(rig) == {revision(rig, "one"): 100}


async def test_an_automatic_schedule_follows_the_evidence(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    rig.host.made_up.requests = 4000
    old, new = revision(rig, "one"), revision(rig, "two")
    spec = CanarySpec(steps="auto", auto=AutoSchedule(first=10, interval=1), baseline=True)
    deployment = await rig.deploy(
        rig.release("two"), strategy="canary", canary=spec, analysis=ERRORS
    )
    await rig.until(deployment, "decision.made", what="weight")
    found = await rig.coordinator.show(deployment)
    split = {part.role: part for part in found.split}
    assert split["control"].revision == baseline_revision(old, new)
    assert split["candidate"].weight > 10
    assert sum(part.weight for part in found.split) == 100
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason
    assert weights(rig) == {revision(rig, "two"): 100}
    raised = [event.data["weight"] for event in rig.told(deployment)
              if event.kind == "decision.made" and event.data["what"] == "weight"]  # fmt: skip
    assert raised == sorted(raised)
    assert raised[-1] == 100


async def test_auto_picks_a_canary_where_traffic_and_history_allow(rig: Rig) -> None:
    wanted: dict[str, Any] = {"strategy": "auto", "analysis": ERRORS}
    for name in ("one", "two", "three"):
        await rig.run(name)
    plan = await rig.coordinator.plan(request(rig.release("four"), **wanted))
    assert plan.strategy == "blue-green"
    assert any("not known" in note for note in plan.notes)
    async with pumping(rig) as pump:
        rig.host.made_up.requests = 10_000
        for _ in range(5):
            await pump.tick()
        plan = await rig.coordinator.plan(request(rig.release("four"), **wanted))
    assert plan.strategy == "canary", plan.notes


async def test_no_traffic_decides_nothing_and_a_human_promotes(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    rig.host.made_up.requests = 0
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=0.1, max_hold=0.3),))
    deployment = await rig.deploy(
        rig.release("two"), strategy="canary", canary=spec, analysis=ERRORS
    )
    await rig.until(deployment, "hold.extended")
    found = await rig.coordinator.show(deployment)
    assert found.status == "waiting"
    assert found.waiting_for is not None
    assert "promote" in found.waiting_for.ways_out
    assert weights(rig)[revision(rig, "two")] == 5
    await rig.coordinator.act(deployment, "promote", "it is fine", "ada")
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason


async def test_an_outage_of_the_measurements_holds_and_is_no_verdict(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    pump.silent = True
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=0.1, max_hold=1.0),))
    deployment = await rig.deploy(
        rig.release("two"), strategy="canary", canary=spec, analysis=ERRORS
    )
    await rig.until(deployment, "hold.extended")
    found = await rig.coordinator.show(deployment)
    assert found.waiting_for is not None
    assert "unavailable" in found.waiting_for.reason
    pump.silent = False
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason


async def test_a_pause_stops_the_clock_and_goes_on_from_the_same_evidence(
    rig: Rig, pump: Pump
) -> None:
    await rig.run("one")
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=1.5),))
    deployment = await rig.deploy(
        rig.release("two"), strategy="canary", canary=spec, analysis=ERRORS
    )
    await waiting(rig, deployment, "hold")
    await asyncio.sleep(0.5)
    await rig.coordinator.act(deployment, "pause", "", "ada")
    await rig.until(deployment, "deployment.paused")
    found = await rig.coordinator.show(deployment)
    assert found.waiting_for is None
    seen = len((await rig.coordinator.evidence(deployment, 2000)).points)
    await asyncio.sleep(1.5)
    assert len((await rig.coordinator.evidence(deployment, 2000)).points) == seen
    assert weights(rig)[revision(rig, "two")] == 5
    await rig.coordinator.act(deployment, "resume", "", "ada")
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason
    held = next(step for step in ended.steps if step.action == "hold")
    assert 1.5 <= held.result["held_s"] < 3.0


@pytest.mark.parametrize("good", [True, False])
async def test_rolling_replaces_one_after_another(rig: Rig, pump: Pump, good: bool) -> None:
    app = several(3)
    await rig.run("one", app)
    if not good:
        rig.host.made_up.errors[revision(rig, "two", app)] = 0.5
    ended = await rig.run(
        "two",
        app,
        strategy="rolling",
        rolling=RollingSpec(batch=1, max_surge=1, verify=0.3 if good else LONG_S),
        analysis=ERRORS,
    )
    assert ended.status == ("succeeded" if good else "rolled_back"), ended.reason
    name = revision(rig, "two" if good else "one", app)
    assert weights(rig) == {name: 100}
    running = {key[1:] for key in rig.host.instances if key[1] == name}
    assert running == {(name, 0), (name, 1), (name, 2)}


async def test_recreate_stops_the_old_one_first(rig: Rig, pump: Pump) -> None:
    assert APP.run is not None
    app = APP.model_copy(update={"run": APP.run.model_copy(update={"exclusive": True})})
    await rig.run("one", app, strategy="recreate")
    deployment = await rig.deploy(rig.release("two"), app, strategy="recreate")
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason
    plan = await rig.coordinator.plan(request(rig.release("three"), app, strategy="recreate"))
    assert any("Downtime" in note for note in plan.notes)
    assert weights(rig) == {revision(rig, "two", app): 100}
    stop = next(step for step in ended.steps if step.action == "stop")
    start = next(step for step in ended.steps if step.action == "start")
    assert stop.finished_at is not None and start.started_at is not None
    assert stop.finished_at <= start.started_at


@pytest.mark.parametrize("bad_at", ["mirror", "after", "never"])
@pytest.mark.parametrize("component", [APP, SITE], ids=["app", "site"])
async def test_blue_green_judges_before_and_after_its_switch(
    rig: Rig, pump: Pump, bad_at: str, component: Component
) -> None:
    await rig.run("one", component)
    # The past of the live release is what the new one is compared with after the switch.
    await asyncio.sleep(0.3)
    new = revision(rig, "two", component)
    if bad_at == "mirror":
        rig.host.made_up.errors[new] = 0.3
    spec = BlueGreenSpec(
        mirror=20,
        analyse_before=LONG_S if bad_at == "mirror" else 0.4,
        analyse_after=LONG_S if bad_at == "after" else 0.6,
    )
    deployment = await rig.deploy(rig.release("two"), component, blue_green=spec, analysis=ERRORS)
    if bad_at == "after":
        await rig.until(deployment, "traffic.shifted")
        rig.host.made_up.errors[new] = 0.3
    ended = await rig.ended(deployment)
    expected = {"mirror": "failed", "after": "rolled_back", "never": "succeeded"}[bad_at]
    assert ended.status == expected, ended.reason
    name = revision(rig, "two" if bad_at == "never" else "one", component)
    assert weights(rig) == {name: 100}
    assert rig.host.routes["shop/production"].mirror is None
    again = await rig.coordinator.replay(deployment, ERRORS)
    assert (again.verdict.verdict == "bad") == (bad_at != "never")


@pytest.mark.parametrize("yes", [True, False])
async def test_an_approval_is_asked_for_and_binds_to_the_plan(
    rig: Rig, pump: Pump, yes: bool
) -> None:
    await rig.run("one")
    gate = GateSpec(name="boss", kind="approval", before="switch")
    deployment = await rig.deploy(rig.release("two"), gates=(gate,))
    found = await waiting(rig, deployment, "approval")
    assert found.status == "waiting"
    assert found.waiting_for is not None and found.waiting_for.ways_out[0] == "approve"
    asked = next(event for event in rig.told(deployment) if event.kind == "deployment.planned")
    assert asked.data["digest"] == found.plan_digest
    await rig.coordinator.act(deployment, "approve" if yes else "reject", "", "ada")
    ended = await rig.ended(deployment)
    assert ended.status == ("succeeded" if yes else "rejected"), ended.reason
    decided = (await rig.coordinator.evidence(deployment, 10)).decisions
    assert ("approved" if yes else "rejected", "ada") in [(one.what, one.by) for one in decided]
    with pytest.raises(Impossible):
        await rig.coordinator.act(deployment, "approve", "", "ada")


async def test_commands_and_command_gates_run_once_and_can_say_no(rig: Rig, pump: Pump) -> None:
    await rig.run("one")
    spec: dict[str, Any] = {
        "gates": (GateSpec(name="smoke", kind="command", command=("smoke",)),),
        "commands": (CommandSpec(name="migrate", command=("migrate",)),),
    }
    ended = await rig.run("two", **spec)
    assert ended.status == "succeeded", ended.reason
    assert len(rig.host.commands) == 2
    rig.host.results["smoke"] = CommandResult(exit_code=3, tail=("no",))
    ended = await rig.run("three", **spec)
    assert ended.status == "failed"
    assert "smoke" in ended.reason
    assert weights(rig) == {revision(rig, "two"): 100}


async def test_a_word_of_before_decides_nothing_about_a_failure_that_came_after(
    rig: Rig, pump: Pump
) -> None:
    await rig.run("one")
    command = CommandSpec(name="migrate", command=("migrate",), irreversible=True)
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=60),))
    deployment = await rig.deploy(
        rig.release("two"), **{**CANARY, "canary": spec}, commands=(command,)
    )
    await waiting(rig, deployment, "hold")
    rig.host.fail("route", error=Failed("The router is broken", facts={"final": True}))
    await rig.coordinator.act(deployment, "promote", "", "ada")
    frozen = await waiting(rig, deployment, "frozen")
    await asyncio.sleep(1)
    assert (await rig.coordinator.show(deployment)).waiting_for == frozen.waiting_for
    await rig.coordinator.act(deployment, "retry", "", "ada")
    ended = await rig.ended(deployment)
    assert ended.status == "succeeded", ended.reason


@pytest.mark.parametrize("verb", ["abort", "retry", "promote"])
async def test_past_the_point_of_no_return_a_human_decides(rig: Rig, pump: Pump, verb: Any) -> None:
    await rig.run("one")
    rig.host.made_up.errors[revision(rig, "two")] = 0.3
    command = CommandSpec(name="migrate", command=("migrate",), irreversible=True)
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=3, max_hold=20),))
    deployment = await rig.deploy(
        rig.release("two"), commands=(command,), **{**CANARY, "canary": spec}
    )
    found = await waiting(rig, deployment, "frozen")
    assert found.no_return_at is not None
    assert found.steps[found.no_return_at].irreversible
    assert found.waiting_for is not None and "retry" in found.waiting_for.ways_out
    assert weights(rig)[revision(rig, "two")] == 5
    rig.host.made_up.errors.clear()
    await rig.coordinator.act(deployment, verb, "", "ada")
    ended = await rig.ended(deployment)
    if verb == "abort":
        assert ended.status == "aborted"
        assert weights(rig) == {revision(rig, "one"): 100}
    else:
        assert ended.status == "succeeded", ended.reason
        assert weights(rig) == {revision(rig, "two"): 100}


async def test_an_abort_whose_message_was_dropped_thaws_all_the_same(
    rig: Rig, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = freezing._freeze

    async def aborted_meanwhile(run: Run, why: str, line: str) -> dict[str, Any]:
        with run.ctx.ledger.database.transaction() as connection:
            connection.execute(
                deployments.update().where(deployments.c.id == run.job.id).values(control="abort")
            )
        return await original(run, why, line)

    monkeypatch.setattr(freezing, "_freeze", aborted_meanwhile)
    await rig.run("one")
    command = CommandSpec(name="migrate", command=("migrate",), irreversible=True)
    spec = CanarySpec(steps=(CanaryStep(weight=5, hold=1, max_hold=20),))
    rig.host.made_up.errors[revision(rig, "two")] = 0.3
    ended = await rig.run("two", commands=(command,), **{**CANARY, "canary": spec})
    assert ended.status == "aborted", ended.reason
    assert weights(rig) == {revision(rig, "one"): 100}


async def test_a_ramp_that_was_cut_off_at_its_start_begins_again(
    rig: Rig, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, cut = hooks.fire, []

    async def once(*args: Any) -> None:
        if not cut:
            cut.append(True)
            raise Failed("The server was killed")
        await original(*args)

    monkeypatch.setattr(hooks, "fire", once)
    await rig.run("one")
    rig.host.made_up.requests = 4000
    spec = CanarySpec(steps="auto", auto=AutoSchedule(first=10, interval=1))
    ended = await rig.run("two", strategy="canary", canary=spec, analysis=ERRORS)
    assert cut
    assert ended.status == "succeeded", ended.reason
