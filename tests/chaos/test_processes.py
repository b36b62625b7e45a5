"""What runs on the host dies in the middle of a deployment: it comes back, and all ends well.

Requests do fail while the only router or the only instance is away; what counts is that it
comes back by itself and that the deployment neither hangs nor gives a wrong end state.
"""

from __future__ import annotations

import pytest

from tests.chaos.house import House, failed
from tests.stand import processes
from tests.stand.waiting import eventually_async

pytestmark = [pytest.mark.real, pytest.mark.anyio, pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    ("name", "victim", "actions"),
    [
        ("app succeeds", "envoy", ("check-host", "stage", "expose", "switch", "verify", "drain")),
        ("site succeeds", "envoy", ("check-host", "build-site", "bridge", "confirm", "prune")),
        ("site succeeds", "caddy", ("check-host", "build-site", "prune")),
        ("app succeeds", "app", ("seal",)),
        ("app succeeds", "app", ("await-ready",)),
        ("app succeeds", "keeper", ("seal",)),
    ],
)
async def test_it_comes_back_and_the_deployment_ends(
    house: House, name: str, victim: str, actions: tuple[str, ...]
) -> None:
    scene = await house.scene(name)
    points = {
        point: f"kill-{victim}"
        for point in scene.points("before")
        if point.removesuffix(".before").partition("-")[2] in actions
    }
    assert len(points) >= len(actions)
    played = await scene.play(points)
    assert not played.faults, "\n".join(played.faults)
    async with house.load(scene) as load:
        await load.seen(60)
    assert failed(load.report()) == []


async def test_the_router_comes_back_with_the_routes_that_it_had(house: House) -> None:
    scene = await house.scene("site succeeds")
    router = next(one for one in house.stand.processes() if one.kind == "envoy")
    assert processes.kill(router.pid)

    def answers() -> bool:
        try:
            return house.stand.ask("/", f"{scene.project.name}.localhost").status == 200
        except OSError:
            return False

    await eventually_async(answers, 15.0)
