"""Who waits for whom: one at a time in an environment, rollbacks before all, nobody starves."""

from __future__ import annotations

import asyncio

import pytest

from tests.coordinator.rig import APP, Rig, request
from turnout.base.errors import Conflict

pytestmark = pytest.mark.anyio


async def test_one_at_a_time_in_their_order(rig: Rig) -> None:
    reached = rig.host.shut("await_ready")
    first = await rig.deploy(rig.release("a"))
    await reached.wait()
    others = [await rig.deploy(rig.release(name)) for name in "bcd"]
    urgent = await rig.deploy(rig.release("e"), priority="urgent")
    assert [(await rig.coordinator.show(name)).status for name in others] == ["queued"] * 3
    rig.host.open("await_ready")

    for name in (first, *others, urgent):
        assert (await rig.ended(name)).status == "succeeded"
    started = [
        event.deployment
        for event in rig.events.after(0, limit=10_000)
        if event.kind == "deployment.started"
    ]
    assert started == [first, urgent, *others]


async def test_who_will_not_wait_is_refused_and_nothing_is_left(rig: Rig) -> None:
    reached = rig.host.shut("await_ready")
    first = await rig.deploy(rig.release("a"))
    await reached.wait()
    with pytest.raises(Conflict) as refused:
        await rig.deploy(rig.release("b"), queue=False)

    assert refused.value.facts == {"deployment": first}
    assert len((await rig.coordinator.list()).items) == 1
    rig.host.open("await_ready")


async def test_many_at_once_all_end_well_and_no_more_run_than_may(rig: Rig) -> None:
    names = [f"p{number}" for number in range(9)]
    for name in names:
        rig.release("a", name)
    started = await asyncio.gather(
        *(rig.deploy(rig.release("a", name), project=name) for name in names)
    )
    ended = await asyncio.gather(*(rig.ended(name) for name in started))
    assert {found.status for found in ended} == {"succeeded"}

    under_way = most = 0
    for event in rig.events.after(0, limit=100_000):
        under_way += (event.kind == "deployment.started") - (event.kind == "deployment.finished")
        most = max(most, under_way)
    assert 1 < most <= rig.ctx.settings.concurrency


async def test_a_rollback_ends_the_deployment_under_way_and_goes_back_to_what_was(
    rig: Rig,
) -> None:
    one = await rig.run("one")
    two = await rig.run("two")
    reached = rig.host.shut("probe")
    deployment = await rig.deploy(rig.release("three"))
    await reached.wait()
    # Users see the third already; the release before it is the second, not the first.
    rollback = await rig.rollback()
    rig.host.open("probe")

    assert (await rig.ended(deployment)).status == "aborted"
    found = await rig.ended(rollback)
    assert (found.status, found.release) == ("succeeded", two.release)
    assert rig.host.routes["shop/production"].weights == {APP.revision(two.release): 100}
    # The way back from there is as it was.
    environment = await rig.coordinator.environment("shop", "production")
    assert environment.previous_release == one.release


async def test_a_rollback_cuts_the_cleanup_short(rig: Rig) -> None:
    one = await rig.run("one")
    await rig.run("two", keep_warm=0.0)
    reached = rig.host.shut("drain")
    deployment = await rig.deploy(rig.release("three"), keep_warm=0.0)
    await reached.wait()
    rollback = await rig.rollback()

    # The gate of the drain stays shut: the rollback does not wait for old streams.
    assert (await rig.ended(deployment)).status == "succeeded"
    assert (await rig.ended(rollback)).status == "succeeded"
    live = (await rig.coordinator.environment("shop", "production")).live_release
    assert live not in (one.release, None)
    rig.host.open("drain")


async def test_two_rollbacks_at_once_go_back_once(rig: Rig) -> None:
    await rig.run("one")
    two = await rig.run("two")
    await rig.run("three")
    both = await asyncio.gather(rig.rollback(), rig.rollback())
    assert [(await rig.ended(name)).status for name in both] == ["succeeded", "succeeded"]
    live = (await rig.coordinator.environment("shop", "production")).live_release
    assert live == two.release


async def test_a_release_that_was_pruned_before_its_turn_ends_with_its_cause(rig: Rig) -> None:
    await rig.run("one")
    reached = rig.host.shut("await_ready")
    await rig.deploy(rig.release("two"))
    await reached.wait()
    waiting = await rig.deploy(rig.release("three"))
    rig.store.prune("shop", {rig.release("one"), rig.release("two")}, age_s=-1.0)
    rig.host.open("await_ready")

    found = await rig.ended(waiting)
    assert found.status == "failed"
    assert "does not have this release" in found.reason


async def test_a_failed_plan_ends_with_its_cause(rig: Rig) -> None:
    await rig.run("one")
    # Asked for while all is well; at its turn the host has lost its tongue.
    reached = rig.host.shut("await_ready")
    first = await rig.deploy(rig.release("two"))
    await reached.wait()
    waiting = await rig.coordinator.deploy(request(rig.release("three")), "ada")
    rig.ctx.fleet._hosts.clear()
    rig.host.open("await_ready")
    assert (await rig.ended(first)).status == "failed"
    found = await rig.ended(waiting.id)
    assert (found.status, found.steps) == ("failed", ())
    assert "has no host" in found.reason
