"""Crashes between two writes: what is half said is finished, told once, or given up with a cause."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import Rig, launched
from turnout.base.errors import Conflict
from turnout.coordinator import admission, deploy, standing
from turnout.coordinator.tables import deployments, scopes
from turnout.domain.transitions import Status

pytestmark = pytest.mark.anyio


@pytest.fixture
def again(tmp_path: Path, host: GatedHost, database_url: str) -> Rig:
    """A server that has not been started."""
    return Rig(tmp_path, host, database_url)


def _admitted(rig: Rig, deployment: str) -> None:
    """Write what an admission writes, as if the process had died right after it."""
    with rig.database.transaction() as connection:
        row = rig.ctx.ledger.row_in(connection, deployment)
        connection.execute(scopes.update().values(holder=deployment))
        rig.ctx.ledger.set_status(connection, row, Status.RUNNING, "deployment.started")


async def test_admitted_but_unknown_to_the_engine(
    again: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_self: admission.Admission) -> None:
        return

    with monkeypatch.context() as patch:
        patch.setattr(admission.Admission, "look", nothing)
        async with launched(again) as rig:
            deployment = await rig.deploy(rig.release("one"))
            _admitted(rig, deployment)
    async with launched(Rig(again.directory, again.host, again.url)) as rig:
        assert (await rig.ended(deployment)).status == "succeeded"


async def test_taken_up_in_the_middle_and_told_once(again: Rig) -> None:
    async with launched(again) as rig:
        await rig.run("one")
        reached = rig.host.shut("await_ready")
        deployment = await rig.deploy(rig.release("two"))
        await reached.wait()
    again.host.open("await_ready")
    async with launched(Rig(again.directory, again.host, again.url)) as rig:
        found = await rig.ended(deployment)
        told = Counter(
            (event.kind, event.data.get("phase"))
            for event in rig.told(deployment)
            if not event.kind.startswith("step.")
        )
    assert found.status == "succeeded"
    assert [key for key, times in told.items() if times > 1] == []
    # The attempt that was cut off counts.
    assert {s.attempts for s in found.steps if s.action == "await-ready"} == {2}


async def test_a_pause_and_an_abort_survive(again: Rig) -> None:
    async with launched(again) as rig:
        await rig.run("one")
        before = rig.picture()
        reached = rig.host.shut("await_ready")
        deployment = await rig.deploy(rig.release("two"))
        await reached.wait()
        await rig.coordinator.act(deployment, "pause", "", "ada")
        rig.host.open("await_ready")
        await rig.until(deployment, "deployment.paused")
    async with launched(Rig(again.directory, again.host, again.url)) as rig:
        assert (await rig.coordinator.show(deployment)).status == "paused"
        await rig.coordinator.act(deployment, "abort", "", "ada")
        assert (await rig.ended(deployment)).status == "aborted"
        assert rig.picture() == before


async def test_a_workflow_that_ended_without_an_end_gives_its_scope_back(
    again: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_CHECK_S", 0.0)

    async def lost(_ctx: object, _deployment: str) -> None:
        return

    monkeypatch.setattr(deploy, "_carry", lost)
    async with launched(again) as rig:
        found = await rig.ended(await rig.deploy(rig.release("one")))
        assert found.status == "failed"
        assert "given up by its engine" in found.reason
        assert (await rig.coordinator.environment("shop", "production")).deployment is None


async def test_a_mistake_of_ours_ends_the_deployment_and_not_the_queue(
    again: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_args: object) -> None:
        raise RuntimeError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(deploy, "go", crash)
        async with launched(again) as rig:
            found = await rig.ended(await rig.deploy(rig.release("one")))
    assert found.status == "failed"
    assert "secret detail" not in found.reason
    async with launched(Rig(again.directory, again.host, again.url)) as rig:
        assert (await rig.run("one")).status == "succeeded"


async def test_an_end_is_recorded_once(again: Rig) -> None:
    async with launched(again) as rig:
        found = await rig.run("one")
        from turnout.coordinator.ending import finish

        await finish(rig.ctx, found.id, Status.FAILED, None)
        assert (await rig.coordinator.show(found.id)).status == "succeeded"
        with pytest.raises(Conflict), rig.database.transaction() as connection:
            row = rig.ctx.ledger.row_in(connection, found.id)
            rig.ctx.ledger.set_status(connection, row, Status.RUNNING, "deployment.started")


async def test_a_confirmation_twice_is_one(again: Rig) -> None:
    async with launched(again) as rig:
        found = await rig.run("one")
        before = rig.picture()
        with rig.database.transaction() as connection:
            row = dict(
                connection.execute(deployments.select().where(deployments.c.id == found.id))
                .mappings()
                .one()
            )
            standing.confirm(connection, row, rolled_back=False, keep_warm=900.0)
        assert rig.picture() == before


async def test_two_starts_of_one_deployment_are_one(again: Rig) -> None:
    async with launched(again) as rig:
        reached = rig.host.shut("await_ready")
        deployment = await rig.deploy(rig.release("one"))
        await reached.wait()
        await rig.coordinator._engine.start(deployment)
        await rig.coordinator._engine.start(deployment)
        assert await rig.coordinator._engine.known(deployment)
        rig.host.open("await_ready")
        found = await rig.ended(deployment)
        assert {step.attempts for step in found.steps} == {1}
