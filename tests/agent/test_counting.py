"""What a host counts: the router's counters with what the routing knows of each revision."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.rooms import APP, RELEASE, SCOPE, House, wanted
from turnout.agent.counting import Counting
from turnout.wire import agent as wire
from turnout.wire.project import Component, RunSpec

pytestmark = pytest.mark.anyio
SHADOW = Component(run=RunSpec(command=("shadow",)))


@pytest.fixture
async def house(tmp_path: Path) -> House:
    found = House(tmp_path)
    await found.router.start()
    return found


def counting(house: House) -> Counting:
    return Counting("one", house.instances, house.routing, house.router)


async def test_counters_carry_the_release_and_the_weight_of_the_routing(house: House) -> None:
    live, shadow = house.record(APP, 20001), house.record(SHADOW, 20002)
    both = tuple(
        wire.RevisionRoute(
            revision=component.revision(RELEASE), release=RELEASE, component=component
        )
        for component in (APP, SHADOW)
    )
    copies = wire.Mirror(revision=shadow, percent=50)
    await house.routing.route(wanted(APP).model_copy(update={"revisions": both, "mirror": copies}))
    house.router.host.requests[SCOPE, live] = 7
    house.router.host.under_way[SCOPE, live, "127.0.0.1:20001"] = 2
    found = await counting(house).statistics()
    assert found.host == "one"
    assert found.at > 0
    assert found.counting_since == (await house.router.statistics()).counting_since
    first, second = found.revisions
    assert (first.scope, first.revision, first.release) == (SCOPE, live, RELEASE)
    assert (first.weight, first.requests, first.in_flight) == (100, 7, 2)
    assert first.by_class["2xx"] == 7
    # Copies are no share of the traffic.
    assert (second.revision, second.weight, second.requests) == (shadow, 0, 0)


async def test_every_wanted_instance_is_there_even_if_it_does_not_run(house: House) -> None:
    app = house.record(APP, 20001)
    (found,) = (await counting(house).statistics()).instances
    assert (found.scope, found.revision, found.index) == (SCOPE, app, 0)
    assert (found.cpu_s, found.memory_bytes, found.open_files) == (0.0, 0, 0)


async def test_a_revision_that_the_routing_does_not_name_is_left_out(house: House) -> None:
    house.record(APP, 20001)
    await house.routing.route(wanted(APP))
    house.layout.route(SCOPE).unlink()  # the router was not told yet
    assert (await house.router.statistics()).backends
    assert (await counting(house).statistics()).revisions == ()
