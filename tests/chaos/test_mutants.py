"""The crash tests can fail: a server whose undos do nothing is found out by the same checks."""

from __future__ import annotations

import pytest

from tests.chaos.house import House
from tests.chaos.scenes import armed

pytestmark = [pytest.mark.real, pytest.mark.anyio, pytest.mark.timeout(240)]

NOTICED = {
    "no-conceal": "files.routed",
    "no-unstage": "files.claims",
    "no-discard": "files.packages",
}
"""A fault of the server to the part of the environment in which it shows."""


@pytest.mark.parametrize("fault", NOTICED)
async def test_a_skipped_undo_is_noticed(house: House, fault: str) -> None:
    sound = await house.scene("app turns bad")
    with House.open(mutants=(fault,)) as broken:
        scene = broken.make("app turns bad")
        scene.settle_s = 5.0  # what is wrong stays wrong
        scene.prepare()
        scene.baseline, scene.told, scene.plan = sound.baseline, sound.told, sound.plan
        async with broken.load(scene) as load:
            await load.seen(20)
            played = await scene.play({})
    assert any(NOTICED[fault] in line for line in played.faults), played.faults


async def test_a_switch_that_is_not_taken_back_is_noticed(house: House) -> None:
    sound = await house.scene("app turns bad")
    # Taking the release out of the router moves its traffic too, so the fault shows only in
    # between: there the server is killed.
    (between,) = [point for point in sound.points("before") if "conceal" in point]
    found = []
    for faults in ((), ("no-switch-back",)):
        with House.open(mutants=faults) as other:
            scene = other.make("app turns bad")
            scene.prepare()
            scene.baseline, scene.told, scene.plan = sound.baseline, sound.told, sound.plan
            async with other.load(scene) as load:
                await load.seen(20)
                played = await scene.play(armed([between], "both"))
                await load.seen(20)
            found.append(scene.late(played, load.report()))
    assert found[0] == []
    assert found[1] != []


async def test_a_step_that_is_recorded_twice_is_noticed(house: House) -> None:
    sound = await house.scene("app succeeds")
    with House.open(mutants=("told-twice",)) as broken:
        scene = broken.make("app succeeds")
        scene.settle_s = 5.0  # what is wrong stays wrong
        scene.prepare()
        scene.baseline, scene.told, scene.plan = sound.baseline, sound.told, sound.plan
        played = await scene.play({})
    assert any("step.done" in line for line in played.faults), played.faults
