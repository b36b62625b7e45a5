"""What a rollback goes back to: a release, a moment, or a part of the release unit."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.coordinator.goingback import asked, back, live, previous
from tests.coordinator.rig import Rig
from turnout.base import clock
from turnout.base.errors import Impossible, InvalidInput
from turnout.coordinator.tables import history
from turnout.wire.project import Component, HealthSpec, RunSpec

pytestmark = pytest.mark.anyio

ONE = Component(run=RunSpec(command=("serve",), instances=1), health=HealthSpec(path="/up"))
TWO = Component(
    run=RunSpec(command=("serve",), instances=2, variables={"MODE": "new"}),
    health=HealthSpec(path="/up"),
)


def running(rig: Rig, revision: str) -> list[int]:
    return sorted(index for _, name, index in rig.host.instances if name == revision)


async def test_the_release_unit_goes_back_whole(rig: Rig) -> None:
    one = await rig.run("one", ONE, domains=("old.example",))
    await rig.run("two", TWO, domains=("new.example",))
    found = await back(rig, reason="it is slow")

    assert (found.status, found.release, found.message) == (
        "succeeded",
        one.release,
        "it is slow",
    )
    assert (found.kind, found.cause, found.requested_by) == ("rollback", "manual", "ada")
    routes = rig.host.routes["shop/production"]
    assert routes.weights == {ONE.revision(one.release): 100}
    assert set(routes.domains) == {"shop.localhost", "old.example"}
    assert running(rig, ONE.revision(one.release)) == [0]


async def test_only_the_configuration_goes_back(rig: Rig) -> None:
    await rig.run("one", ONE, domains=("old.example",))
    two = await rig.run("two", TWO, domains=("new.example",))
    planned = await rig.coordinator.plan_rollback(asked(only="configuration"))
    assert planned.release == two.release
    found = await back(rig, only="configuration")

    assert (found.status, found.only) == ("succeeded", "configuration")
    assert await live(rig) == two.release
    routes = rig.host.routes["shop/production"]
    assert routes.weights == {ONE.revision(two.release): 100}
    assert "old.example" in routes.domains


async def test_only_the_code_goes_back_and_then_all_of_it(rig: Rig) -> None:
    one = await rig.run("one", ONE)
    await rig.run("two", TWO)
    found = await back(rig, only="code")

    assert (found.status, found.only, found.release) == ("succeeded", "code", one.release)
    assert rig.host.routes["shop/production"].weights == {TWO.revision(one.release): 100}
    assert running(rig, TWO.revision(one.release)) == [0, 1]

    # The next one, unasked, goes to what was live then, whole, and not forward to two.
    assert await previous(rig) == one.release
    again = await back(rig)
    assert again.status == "succeeded"
    assert rig.host.routes["shop/production"].weights == {ONE.revision(one.release): 100}


async def test_a_configuration_that_only_names_other_hosts_is_routed(rig: Rig) -> None:
    await rig.run("one", ONE, domains=("old.example",))
    await rig.run("two", ONE, domains=("new.example",))
    found = await back(rig, only="configuration")
    assert found.status == "succeeded"
    assert "old.example" in rig.host.routes["shop/production"].domains
    with pytest.raises(Impossible, match="is what is live now"):
        await rig.coordinator.rollback(asked(only="configuration"), "ada")


async def test_a_component_is_not_a_part(rig: Rig) -> None:
    await rig.run("one", ONE)
    await rig.run("two", ONE)
    with pytest.raises(InvalidInput, match="no such part") as caught:
        await rig.coordinator.plan_rollback(asked(only="worker"))
    assert "one component" in caught.value.why


async def test_back_to_what_was_live_at_a_moment(rig: Rig) -> None:
    one = await rig.run("one", ONE)
    then = clock.now()
    two = await rig.run("two", TWO)
    await rig.run("three", ONE)
    between = await moment_of(rig, two.id) + timedelta(microseconds=1)

    assert (await back(rig, at=between)).release == two.release
    assert rig.host.routes["shop/production"].weights == {TWO.revision(two.release): 100}
    assert await previous(rig) == one.release
    assert (await back(rig, at=then)).release == one.release


async def test_a_moment_behind_a_rollback_means_what_that_brought(rig: Rig) -> None:
    one = await rig.run("one", ONE)
    await rig.run("two", ONE)
    await back(rig)
    then = clock.now()
    await rig.run("three", ONE)
    assert (await back(rig, at=then)).release == one.release


async def test_moments_that_cannot_be_gone_back_to(rig: Rig) -> None:
    before = clock.now()
    await rig.run("one", ONE)
    await rig.run("two", ONE)
    for at, what in (
        (clock.now() + timedelta(hours=1), "in the future"),
        (before, "Nothing was live"),
        (datetime(2026, 11, 20, 14, 0), "time zone"),  # noqa: DTZ001  that is the point
    ):
        with pytest.raises(InvalidInput, match=what) as caught:
            await rig.coordinator.rollback(asked(at=at), "ada")
        assert caught.value.next_step
    with pytest.raises(InvalidInput, match="not both"):
        await rig.coordinator.rollback(asked(at=before, to="abcdef"), "ada")
    with pytest.raises(Impossible, match="live already"):
        await rig.coordinator.rollback(asked(at=clock.now()), "ada")


async def test_a_release_that_is_not_kept(rig: Rig) -> None:
    one = await rig.run("one", ONE)
    then = clock.now()
    two = await rig.run("two", ONE)
    rig.store.prune("shop", {two.release}, -60.0)
    assert not rig.store.has("shop", one.release)
    for wanted in (asked(), asked(at=then), asked(to=one.release[:8])):
        with pytest.raises(Impossible, match="not kept any more") as caught:
            await rig.coordinator.rollback(wanted, "ada")
        assert "Deploy its files again" in caught.value.next_step
    assert await live(rig) == two.release


async def test_a_host_that_is_gone_is_named(rig: Rig) -> None:
    await rig.run("one", ONE)
    await rig.run("two", ONE, hosts=("local",))
    # As if the first one had run on two hosts, one of which was removed since.
    with rig.database.transaction() as connection:
        row = connection.execute(history.select().order_by(history.c.id)).mappings().first()
        assert row is not None
        intent = {**row["intent"], "hosts": ["local", "web-9"]}
        connection.execute(history.update().where(history.c.id == row["id"]).values(intent=intent))
    with pytest.raises(Impossible, match="web-9"):
        await rig.coordinator.rollback(asked(), "ada")


async def moment_of(rig: Rig, deployment: str) -> datetime:
    """Return when a deployment's release became live."""
    steps = (await rig.coordinator.show(deployment)).steps
    (found,) = [step.finished_at for step in steps if step.action == "confirm"]
    assert found is not None
    return found
