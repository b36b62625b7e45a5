"""Killed anywhere, everything comes to the end that it has undisturbed, and no request fails.

The points are enumerated from the plans themselves, so a new step is covered without anyone
remembering it.  In one play the victim is killed at every step, at the same moment of each.
"""

from __future__ import annotations

import pytest

from tests.chaos.house import NOT_IN_PLANS, SCENES, House, failed
from tests.chaos.scenes import MOMENTS, armed
from turnout.agent import crash_points

pytestmark = [pytest.mark.real, pytest.mark.anyio, pytest.mark.timeout(240)]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", ["server", "agent", "both"])
@pytest.mark.parametrize("name", SCENES)
async def test_killed_at_every_step(house: House, name: str, victim: str, moment: str) -> None:
    scene = await house.scene(name)
    points = scene.points(moment)
    assert len(points) >= 4, "the plan has steps"
    async with house.load(scene) as load:
        played = await scene.play(armed(points, victim))
        await load.seen(20)
    assert not played.faults, "\n".join(played.faults)
    assert scene.late(played, load.report()) == []
    assert failed(load.report()) == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", SCENES)
async def test_the_agent_dies_in_its_own_operations(house: House, name: str, moment: str) -> None:
    scene = await house.scene(name)
    points = [
        point
        for operation in scene.agent_operations
        if (point := f"agent.{operation}.{moment}") in crash_points.NAMES
    ]
    async with house.load(scene) as load:
        played = await scene.play(dict.fromkeys(points, "kill"))
        await load.seen(20)
    assert not played.faults, "\n".join(played.faults)
    assert scene.late(played, load.report()) == []
    assert failed(load.report()) == []


def test_the_scenes_cover_every_operation_of_the_agent() -> None:
    covered = {operation for cast in SCENES.values() for operation in cast.operations}
    assert covered | set(NOT_IN_PLANS) == set(crash_points.OPERATIONS)
