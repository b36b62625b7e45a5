"""The point of no return: a rollback past it needs a human who says so."""

from __future__ import annotations

import pytest

from tests.coordinator.goingback import asked, back, live
from tests.coordinator.rig import Rig
from turnout.base.errors import Refused
from turnout.wire.rollout import CommandSpec

pytestmark = pytest.mark.anyio

MIGRATE = CommandSpec(name="migrate", command=("migrate",), irreversible=True)
WARM = CommandSpec(name="warm-up", command=("warm",))


async def test_the_line_holds_back_a_rollback_and_force_crosses_it(rig: Rig) -> None:
    one = await rig.run("one")
    two = await rig.run("two", commands=(MIGRATE,))
    for ask in (rig.coordinator.rollback(asked(), "ada"), rig.coordinator.plan_rollback(asked())):
        with pytest.raises(Refused, match="point of no return") as caught:
            await ask
        assert "'migrate'" in caught.value.why
        assert two.id in caught.value.why
        assert "--force" in caught.value.next_step
    assert await live(rig) == two.release

    planned = await rig.coordinator.plan_rollback(asked(force=True))
    assert any("migrate" in note for note in planned.notes)
    found = await back(rig, force=True)
    assert (found.status, found.release) == ("succeeded", one.release)
    # The other way round nothing stands in it: two did it itself.
    assert (await back(rig, to=two.release[:8])).status == "succeeded"


async def test_a_reversible_command_holds_back_nobody(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two", commands=(WARM,))
    assert (await back(rig)).status == "succeeded"


async def test_a_release_that_was_live_after_the_line_knows_it(rig: Rig) -> None:
    await rig.run("one")
    two = await rig.run("two", commands=(MIGRATE,))
    await rig.run("three")
    assert (await back(rig)).release == two.release
    with pytest.raises(Refused, match="point of no return"):
        await rig.coordinator.rollback(asked(), "ada")


async def test_only_the_configuration_may_go_back_past_it(rig: Rig) -> None:
    await rig.run("one", domains=("old.example",))
    two = await rig.run("two", domains=("new.example",), commands=(MIGRATE,))
    with pytest.raises(Refused):
        await rig.coordinator.rollback(asked(only="code"), "ada")
    assert (await back(rig, only="configuration")).status == "succeeded"
    assert await live(rig) == two.release


async def test_a_deployment_that_has_crossed_it_is_not_aborted_unforced(rig: Rig) -> None:
    await rig.run("one")
    reached = rig.host.shut("probe")
    under_way = await rig.deploy(rig.release("two"), commands=(MIGRATE,))
    await reached.wait()
    with pytest.raises(Refused, match="point of no return"):
        await rig.coordinator.rollback(asked(), "ada")
    rig.host.open("probe")
    assert (await rig.ended(under_way)).status == "succeeded"
