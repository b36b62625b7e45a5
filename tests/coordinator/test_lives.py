"""Deployments and rollbacks from their start to their end, on every kind of database."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.coordinator.hosts import bad
from tests.coordinator.rig import APP, SITE, Rig
from turnout.base.errors import Conflict, InvalidInput, NotFound
from turnout.wire.project import Component, StaticSpec

pytestmark = pytest.mark.anyio


def _revision(release: str) -> str:
    return APP.revision(release)


async def _live(rig: Rig) -> str | None:
    return (await rig.coordinator.environment("shop", "production")).live_release


async def test_the_first_release_goes_live_and_the_second_takes_over(rig: Rig) -> None:
    first = await rig.run("one")
    second = await rig.run("two")

    assert [first.status, second.status] == ["succeeded", "succeeded"]
    assert all(phase.status == "done" for phase in second.phases)
    assert all(step.status == "done" for step in second.steps)
    assert rig.host.routes["shop/production"].weights == {_revision(second.release): 100}
    # What was live is kept warm for the way back.
    assert {key[1] for key in rig.host.instances} == {
        _revision(first.release),
        _revision(second.release),
    }
    found = await rig.coordinator.environment("shop", "production")
    assert (found.live_release, found.previous_release) == (second.release, first.release)


async def test_every_event_is_told_once(rig: Rig) -> None:
    found = await rig.run("one")

    told = [
        (event.kind, event.data.get("step"), event.data.get("phase"))
        for event in rig.told(found.id)
    ]
    assert [key for key, times in Counter(told).items() if times > 1] == []
    assert told[-1][0] == "deployment.finished"
    assert {kind for kind, _, _ in told} >= {"deployment.queued", "deployment.started"}


async def test_the_same_again_moves_nothing(rig: Rig) -> None:
    await rig.run("one")
    before = rig.picture()
    again = await rig.run("one")

    assert again.status == "succeeded"
    assert {step.action for step in again.steps}.isdisjoint({"seal", "start", "switch"})
    assert rig.picture() == before


async def test_a_new_domain_alone_reaches_the_router(rig: Rig) -> None:
    await rig.run("one")
    again = await rig.run("one", domains=("shop.example",))

    assert again.status == "succeeded"
    assert "shop.example" in rig.host.routes["shop/production"].domains
    # What a later undo goes back to knows the name as well.
    rig.host.verdicts[_revision(rig.release("bad"))] = bad()
    assert (await rig.run("bad")).status == "failed"
    assert "shop.example" in rig.host.routes["shop/production"].domains


async def test_a_release_that_is_not_healthy_never_takes_traffic(rig: Rig) -> None:
    await rig.run("one")
    before = rig.picture()
    rig.host.verdicts[_revision(rig.release("two"))] = bad("it answers 500")
    found = await rig.run("two")

    assert found.status == "failed"
    assert "it answers 500" in found.reason
    assert found.problem is not None
    assert found.problem["facts"]["log_tail"] == ["Error: no"]
    assert found.phase == "rollback.execution"
    assert rig.picture() == before


async def test_errors_on_live_requests_roll_it_back(rig: Rig) -> None:
    await rig.run("one")
    before = rig.picture()
    rig.host.failing.add(_revision(rig.release("two")))
    found = await rig.run("two", verify=0.3)

    assert found.status == "rolled_back"
    assert "5xx" in found.reason
    assert rig.picture() == before


async def test_back_and_further_back_and_forward_again(rig: Rig) -> None:
    one, two, three = [(await rig.run(name)).release for name in ("one", "two", "three")]

    assert (await rig.go_back()).status == "succeeded"
    assert await _live(rig) == two
    assert (await rig.go_back()).status == "succeeded"
    assert await _live(rig) == one
    with pytest.raises(Conflict, match="no release to go back to"):
        await rig.rollback()
    # Both later ones were withdrawn; asked for by name they come back.
    assert (await rig.go_back(three[:12])).status == "succeeded"
    assert await _live(rig) == three
    # The way back from there is what was never withdrawn.
    assert (await rig.go_back()).status == "succeeded"
    assert await _live(rig) == one


async def test_what_was_rolled_back_can_be_deployed_again(rig: Rig) -> None:
    one, two = [(await rig.run(name)).release for name in ("one", "two")]
    await rig.go_back()

    assert (await rig.run("two")).status == "succeeded"
    found = await rig.coordinator.environment("shop", "production")
    assert (found.live_release, found.previous_release) == (two, one)


async def test_a_rollback_that_fails_leaves_the_live_release(rig: Rig) -> None:
    one, two = [(await rig.run(name)).release for name in ("one", "two")]
    rig.host.verdicts[_revision(one)] = bad()
    before = rig.picture()
    found = await rig.go_back()

    assert (found.kind, found.status) == ("rollback", "failed")
    assert await _live(rig) == two
    assert rig.picture() == before


@pytest.mark.parametrize("to", ["000000", "ffffffffffff"])
async def test_a_rollback_to_what_never_was_is_refused(rig: Rig, to: str) -> None:
    await rig.run("one")
    with pytest.raises(InvalidInput, match="No release of this environment"):
        await rig.rollback(to)


async def test_a_rollback_to_what_is_live_is_refused(rig: Rig) -> None:
    found = await rig.run("one")
    with pytest.raises(Conflict, match="live already"):
        await rig.rollback(found.release[:12])


async def test_nothing_to_roll_back_where_nothing_was(rig: Rig) -> None:
    with pytest.raises(NotFound, match="Nothing was ever deployed there"):
        await rig.rollback()


async def test_nothing_to_roll_back_to_after_the_first_release(rig: Rig) -> None:
    await rig.run("one")
    with pytest.raises(Conflict, match="no release to go back to"):
        await rig.rollback()


async def test_a_site_keeps_the_assets_of_the_releases_before(rig: Rig) -> None:
    one, two, three = [(await rig.run(name, SITE)).release for name in ("a", "b", "c")]
    assert rig.host.bridges["shop/production"] == (three, two, one)

    await rig.go_back()
    assert rig.host.bridges["shop/production"] == (two, three, one)
    assert rig.host.routes["shop/production"].weights == {SITE.revision(two): 100}


async def test_a_site_becomes_an_app_and_goes_back(rig: Rig) -> None:
    site = await rig.run("site", SITE)
    app = await rig.run("app", APP)
    assert app.status == "succeeded"
    assert rig.host.routes["shop/production"].weights == {_revision(app.release): 100}

    assert (await rig.go_back()).status == "succeeded"
    assert rig.host.routes["shop/production"].weights == {SITE.revision(site.release): 100}


async def test_a_live_release_that_runs_no_more_is_repaired_by_the_same_deployment(
    rig: Rig,
) -> None:
    found = await rig.run("one")
    rig.host.instances.clear()

    assert (await rig.run("one")).status == "succeeded"
    assert {key[1] for key in rig.host.instances} == {_revision(found.release)}
    # Repairing it must not have made it its own way back.
    assert (await rig.coordinator.environment("shop", "production")).previous_release is None


async def test_a_failed_repair_keeps_the_route_of_the_live_release(rig: Rig) -> None:
    found = await rig.run("one")
    route = rig.host.routes["shop/production"]
    rig.host.instances.clear()
    rig.host.verdicts[_revision(found.release)] = bad()

    assert (await rig.run("one")).status == "failed"
    assert rig.host.routes["shop/production"] == route


async def test_old_releases_go_but_never_what_is_needed(rig: Rig) -> None:
    names = [f"r{number}" for number in range(5)]
    releases = [(await rig.run(name, keep_releases=2)).release for name in names]

    assert set(rig.host.releases) == set(releases[-2:])
    assert (await rig.go_back()).status == "succeeded"
    assert await _live(rig) == releases[-2]


async def test_a_configuration_alone_makes_a_new_revision(rig: Rig) -> None:
    first = await rig.run("one", SITE)
    spa = Component(static=StaticSpec(spa=True))
    second = await rig.run("one", spa)

    assert second.release == first.release
    assert rig.host.routes["shop/production"].weights == {spa.revision(first.release): 100}
    assert (await rig.go_back()).status == "succeeded"
    assert rig.host.routes["shop/production"].weights == {SITE.revision(first.release): 100}
