"""A rollback whose release was damaged in the store says so before any traffic moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.coordinator.goingback import asked, back, live, small_rig
from tests.coordinator.rig import Rig
from turnout.base.errors import Impossible, Untrusted
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with small_rig(tmp_path) as made:
        yield made


def lose(rig: Rig, release: str) -> None:
    """Let the host lose a release: the next package without its files is refused."""
    stage, refused = rig.host.stage, False
    del rig.host.releases[release]

    async def stage_once(trust: wire.Trust, package: Path) -> wire.Staged:
        nonlocal refused
        if not refused:
            refused = True
            raise Untrusted("A package lacks a file that this host does not hold either")
        return await stage(trust, package)

    rig.host.stage = stage_once  # type: ignore[method-assign]


def damage(rig: Rig) -> None:
    for path in (rig.directory / "store").glob("shop/segments/*.seg"):
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)


async def test_damage_that_is_found_on_the_way_ends_it_and_an_upload_heals_it(rig: Rig) -> None:
    one = await rig.run("one")
    two = await rig.run("two")
    weights = dict(rig.host.routes["shop/production"].weights)
    lose(rig, one.release)
    damage(rig)

    failed = await back(rig)
    assert failed.status == "failed"
    assert "no longer holds a file" in failed.reason
    assert "Deploy the same files again" in failed.reason
    moved = [step.status for step in failed.steps if step.action == "switch"]
    assert moved == ["pending"]
    assert rig.host.routes["shop/production"].weights == weights
    assert await live(rig) == two.release

    # It is known now, so the next one is not even begun on the host.
    again = await back(rig)
    assert "damaged or gone in the store" in again.reason
    assert not [step for step in again.steps if step.status == "done"]

    rig.release("one")
    assert (await back(rig)).status == "succeeded"
    assert await live(rig) == one.release


async def test_what_the_hosts_hold_goes_back_all_the_same(rig: Rig) -> None:
    one = await rig.run("one")
    await rig.run("two")
    damage(rig)
    found = await back(rig)
    assert (found.status, found.release) == ("succeeded", one.release)


async def test_a_damaged_list_of_files_is_told_at_once_the_second_time(rig: Rig) -> None:
    await rig.run("one")
    two = await rig.run("two")
    for path in (rig.directory / "store").glob("shop/releases/*"):
        path.write_bytes(path.read_bytes()[:-30])
    assert "is damaged" in (await back(rig)).reason
    with pytest.raises(Impossible, match="not kept any more"):
        await rig.coordinator.rollback(asked(), "ada")
    assert await live(rig) == two.release
