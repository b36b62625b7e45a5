"""The sweeper: what nobody wants goes, what somebody may want stays, and traffic is mended."""

from __future__ import annotations

import asyncio

import pytest

from tests.coordinator.rig import APP, Rig
from turnout.coordinator.sweeping import Sweeper
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio


async def _swept(rig: Rig) -> None:
    sweeper = Sweeper(rig.ctx)
    await sweeper.look()
    await asyncio.gather(*sweeper._retiring.values())


def _running(rig: Rig) -> set[str]:
    return {key[1] for key in rig.host.instances}


async def test_a_warm_release_stays_until_its_time_is_over(rig: Rig) -> None:
    one = await rig.run("one")
    two = await rig.run("two", keep_warm=0.5)
    await _swept(rig)
    assert _running(rig) == {APP.revision(one.release), APP.revision(two.release)}

    await asyncio.sleep(0.6)
    await _swept(rig)
    assert _running(rig) == {APP.revision(two.release)}
    kinds = [event.kind for event in rig.events.after(0, limit=10_000)]
    assert kinds[-1] == "revision.retired"


async def test_what_a_crash_left_goes(rig: Rig) -> None:
    one = await rig.run("one")
    wanted = rig.host.instances["shop/production", APP.revision(one.release), 0]
    left = wanted.model_copy(update={"revision": "f" * 16})
    rig.host.instances["shop/production", "f" * 16, 0] = left
    await _swept(rig)
    assert _running(rig) == {APP.revision(one.release)}


async def test_a_scope_that_a_deployment_holds_is_left_alone(rig: Rig) -> None:
    await rig.run("one")
    reached = rig.host.shut("await_ready")
    deployment = await rig.deploy(rig.release("two"))
    await reached.wait()
    before = rig.host.picture()
    await _swept(rig)
    assert rig.host.picture() == before
    rig.host.open("await_ready")
    assert (await rig.ended(deployment)).status == "succeeded"


async def test_a_deployment_waits_for_what_the_sweeper_is_stopping(rig: Rig) -> None:
    one = await rig.run("one")
    await rig.run("two", keep_warm=0.0)
    revision = APP.revision(one.release)
    # Warm by accident: the sweeper is about to stop just what is deployed now.
    await rig.host.ensure_instance(
        wire.InstanceWanted(
            scope="shop/production",
            revision=revision,
            release=one.release,
            index=0,
            run=APP.run,  # type: ignore[arg-type]
        )
    )
    reached = rig.host.shut("remove_instances")
    sweeping = asyncio.create_task(_swept(rig))
    await reached.wait()
    deployment = await rig.deploy(one.release)
    await rig.until(deployment, "deployment.started")
    rig.host.open("remove_instances")
    await sweeping

    assert (await rig.ended(deployment)).status == "succeeded"
    assert revision in _running(rig)
    assert rig.host.routes["shop/production"].weights == {revision: 100}


async def test_traffic_goes_back_to_what_is_live(rig: Rig) -> None:
    one = await rig.run("one")
    two = await rig.run("two")
    routes = rig.host.routes["shop/production"]
    lost = {APP.revision(one.release): 100}
    rig.host.routes["shop/production"] = routes.model_copy(update={"weights": lost})
    await _swept(rig)
    assert rig.host.routes["shop/production"].weights == {APP.revision(two.release): 100}


async def test_what_answers_requests_is_not_stopped_while_nothing_else_could(rig: Rig) -> None:
    one = await rig.run("one")
    routes = rig.host.routes["shop/production"]
    wanted = rig.host.instances.pop(("shop/production", APP.revision(one.release), 0))
    rig.host.instances["shop/production", "f" * 16, 0] = wanted.model_copy(
        update={"revision": "f" * 16}
    )
    other = routes.revisions[0].model_copy(update={"revision": "f" * 16})
    rig.host.routes["shop/production"] = routes.model_copy(
        update={"weights": {"f" * 16: 100}, "revisions": (other,)}
    )
    await _swept(rig)
    assert _running(rig) == {"f" * 16}
