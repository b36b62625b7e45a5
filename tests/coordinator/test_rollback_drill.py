"""The drill: a rollback rehearsed beside what is live, measured, and cleared away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.coordinator.goingback import asked, back, live, previous
from tests.coordinator.hosts import bad
from tests.coordinator.rig import APP, SITE, Rig
from turnout.base import failpoints
from turnout.base.errors import Failed, Impossible, InvalidInput
from turnout.wire.api import DeploymentDetail
from turnout.wire.project import Component, HealthSpec, RunSpec

pytestmark = pytest.mark.anyio

ALONE = Component(run=RunSpec(command=("serve",), exclusive=True), health=HealthSpec(path="/up"))


async def cold(rig: Rig, component: Component = APP) -> tuple[DeploymentDetail, DeploymentDetail]:
    """Deploy twice with nothing kept warm."""
    one = await rig.run("one", component, keep_warm=0.0)
    two = await rig.run("two", component, keep_warm=0.0)
    return one, two


@pytest.mark.parametrize("component", [APP, SITE])
async def test_a_cold_target_is_started_asked_and_removed(rig: Rig, component: Component) -> None:
    one, two = await cold(rig, component)
    before = rig.picture()
    weights = []
    route = rig.host.route

    async def seen(wanted: Any) -> Any:
        weights.append(dict(wanted.weights))
        return await route(wanted)

    rig.host.route = seen  # type: ignore[method-assign]
    found = await back(rig, drill=True)

    assert (found.status, found.drill, found.release) == ("succeeded", True, one.release)
    assert found.drilled is not None
    assert found.drilled.would_work
    assert found.drilled.fails == ""
    assert found.drilled.ready_s is not None
    assert 0 < found.drilled.ready_s <= (found.duration_s or 0)
    assert weights, "it was never made reachable"
    assert all(split == {component.revision(two.release): 100} for split in weights)
    assert rig.picture() == before
    assert (await live(rig), await previous(rig)) == (two.release, one.release)


async def test_a_warm_target_is_asked_and_stays_warm(rig: Rig) -> None:
    one = await rig.run("one")
    await rig.run("two")
    before = rig.picture()
    found = await back(rig, drill=True)
    assert found.drilled is not None
    assert found.drilled.would_work
    assert rig.picture() == before
    revision = APP.revision(one.release)
    assert ("shop/production", revision, 0) in rig.host.instances


async def test_a_drill_that_fails_says_what_would_fail_and_leaves_nothing(rig: Rig) -> None:
    one, two = await cold(rig)
    before = rig.picture()
    rig.host.verdicts[APP.revision(one.release)] = bad("it cannot find its database")
    found = await back(rig, drill=True)

    assert found.status == "failed"
    assert found.drilled is not None
    assert not found.drilled.would_work
    assert "it cannot find its database" in found.drilled.fails
    assert rig.picture() == before
    assert await live(rig) == two.release


async def test_a_drill_is_in_the_list_but_never_what_was_live(rig: Rig) -> None:
    one = await rig.run("one")
    two = await rig.run("two")
    drill = await back(rig, drill=True)
    listed = await rig.coordinator.list(project="shop")
    assert (listed.items[0].id, listed.items[0].drill) == (drill.id, True)
    with rig.database.reading() as connection:
        count = connection.exec_driver_sql("select count(*) from history").scalar_one()
    assert count == 2
    assert drill.finished_at is not None
    with pytest.raises(Impossible, match="live already"):
        await rig.coordinator.rollback(asked(at=drill.finished_at), "ada")
    assert (await live(rig), await previous(rig)) == (two.release, one.release)


async def test_a_drill_waits_for_its_turn_and_gives_way_to_a_rollback(rig: Rig) -> None:
    one, _ = await cold(rig)
    reached = rig.host.shut("await_ready")
    drill = await rig.coordinator.rollback(asked(drill=True), "ada")
    await reached.wait()
    real = await rig.coordinator.rollback(asked(), "ada")
    rig.host.open("await_ready")
    assert (await rig.ended(drill.id)).status == "aborted"
    assert (await rig.ended(real.id)).status == "succeeded"
    assert await live(rig) == one.release


async def test_a_drill_aborts_no_deployment(rig: Rig) -> None:
    await cold(rig)
    reached = rig.host.shut("await_ready")
    under_way = await rig.deploy(rig.release("three"))
    await reached.wait()
    drill = await rig.coordinator.rollback(asked(drill=True), "ada")
    rig.host.open("await_ready")
    ended = await asyncio.gather(rig.ended(under_way), rig.ended(drill.id))
    assert [one.status for one in ended] == ["succeeded", "succeeded"]


async def test_what_cannot_run_twice_cannot_be_rehearsed(rig: Rig) -> None:
    await rig.run("one", ALONE, strategy="recreate")
    await rig.run("two", ALONE, strategy="recreate")
    with pytest.raises(Impossible, match="cannot be rehearsed"):
        await rig.coordinator.plan_rollback(asked(drill=True))


def rehearsed(found: DeploymentDetail) -> list[str]:
    return [step.action for step in found.steps if "rehears" in step.title]


async def test_a_policy_makes_a_deployment_rehearse_the_way_back(rig: Rig) -> None:
    first = await rig.run("one", drill_within=3600.0)
    assert rehearsed(first) == []  # there is no way back yet
    found = await rig.run("two", drill_within=3600.0)
    assert found.status == "succeeded"
    assert rehearsed(found) == ["start", "await-ready", "stop"]
    assert [step.phase for step in found.steps if "rehears" in step.title] == ["validation"] * 3
    running = {name for _, name, _ in rig.host.instances}
    assert running == {APP.revision(first.release), APP.revision(found.release)}


async def test_a_way_back_that_fails_its_rehearsal_keeps_the_release_from_traffic(
    rig: Rig,
) -> None:
    one = await rig.run("one")
    before = rig.picture()
    asks = 0
    ready = rig.host.await_ready

    async def await_ready(wanted: Any) -> Any:
        nonlocal asks
        asks += 1
        twin = wanted.revision not in (APP.revision(one.release), APP.revision(rig.release("two")))
        return bad("it does not start any more") if twin else await ready(wanted)

    rig.host.await_ready = await_ready  # type: ignore[method-assign]
    found = await rig.run("two", drill_within=3600.0)
    assert asks
    assert found.status == "failed"
    assert "it does not start any more" in found.reason
    assert rig.picture() == before


async def test_a_young_drill_stands_for_the_rehearsal(rig: Rig) -> None:
    one = await rig.run("one")
    await rig.run("two")
    assert (await back(rig, drill=True)).status == "succeeded"
    await back(rig)
    assert await live(rig) == one.release
    assert rehearsed(await rig.run("three", drill_within=3600.0)) == []
    assert rehearsed(await rig.run("four", drill_within=3600.0)) != []


async def test_an_old_drill_does_not(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two")
    await back(rig, drill=True)
    await back(rig)
    assert rehearsed(await rig.run("three", drill_within=0.0)) != []


async def test_a_policy_that_cannot_be_kept_is_refused(rig: Rig) -> None:
    await rig.run("one", ALONE, strategy="recreate")
    with pytest.raises(InvalidInput, match="cannot be rehearsed"):
        await rig.deploy(rig.release("two"), ALONE, strategy="recreate", drill_within=60.0)


@pytest.mark.parametrize("moment", ["before", "inside"])
async def test_a_drill_that_fails_anywhere_leaves_the_environment_as_it_was(
    rig: Rig, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cold(rig)
    wanted = ""

    async def reached(name: str) -> None:
        if name == wanted:
            raise Failed("A test failed it", facts={"final": True})

    monkeypatch.setattr(failpoints, "reached", reached)
    before = rig.picture()
    planned = await rig.coordinator.plan_rollback(asked(drill=True))
    for step in planned.steps:
        wanted = f"server.step.{step.index}-{step.action}.{moment}"
        found = await back(rig, drill=True)
        assert (found.status, rig.picture()) == ("failed", before), wanted
        assert found.drilled is not None
        assert step.title in found.drilled.fails
