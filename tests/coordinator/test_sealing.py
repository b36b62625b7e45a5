"""Sealing: a package is made for what hosts lack, and made anew where that was not so after all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import Rig, launched
from turnout.base.errors import Untrusted
from turnout.coordinator import engine
from turnout.wire import agent as wire

pytestmark = pytest.mark.anyio


class Forgetful(GatedHost):
    """A host that refuses a package as a real one does when it lacks what is not in it."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing = 0
        self.lost: tuple[str, ...] = ()
        self.received: list[int] = []

    async def lacking(self, scope: str, manifest: bytes) -> tuple[str, ...]:
        return (*await super().lacking(scope, manifest), *self.lost)

    async def stage(self, trust: wire.Trust, package: Path) -> wire.Staged:
        if self.refusing:
            self.refusing -= 1
            self.calls.append("stage")
            raise Untrusted("A package lacks a file that this host does not hold either")
        staged = await super().stage(trust, package)
        self.received.append(staged.received_bytes)
        return staged


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with launched(Rig(tmp_path, Forgetful())) as made:
        yield made


def forgetful(rig: Rig) -> Forgetful:
    assert isinstance(rig.host, Forgetful)
    return rig.host


async def test_a_deployment_asks_once_what_is_lacking(rig: Rig) -> None:
    assert (await rig.run("one")).status == "succeeded"
    assert rig.host.calls.count("lacking") == 1
    assert rig.host.calls.count("stage") == 1


async def test_a_warm_rollback_asks_nothing_and_signs_a_new_placement(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two")
    rig.host.calls.clear()
    assert (await rig.go_back()).status == "succeeded"
    assert "lacking" not in rig.host.calls
    assert rig.host.calls.index("stage") < rig.host.calls.index("route")
    seals = _results(rig, "seal")
    assert [seal["version"] for seal in seals] == [1, 2, 3]
    assert seals[-1]["files"] == 0


async def test_what_a_host_lost_is_sealed_anew_when_it_says_so(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two")
    one = next(iter(rig.store.manifest("shop", rig.release("one")).sizes))
    host = forgetful(rig)
    host.refusing, host.lost = 1, (one,)
    host.calls.clear()
    assert (await rig.go_back()).status == "succeeded"
    assert [call for call in host.calls if call in ("stage", "lacking")] == [
        "stage",
        "lacking",
        "stage",
    ]
    assert _results(rig, "stage")[-1]["package"] != _results(rig, "seal")[-1]["package"]
    assert not list(rig.directory.rglob("*.pkg"))


async def test_a_package_that_nothing_explains_is_refused_for_good(rig: Rig) -> None:
    await rig.run("one")
    live = rig.host.picture()
    forgetful(rig).refusing = 1
    ended = await rig.run("two")
    assert ended.status == "failed"
    assert "lacks a file" in ended.reason
    assert rig.host.picture() == live


async def test_a_package_that_is_gone_is_sealed_anew(rig: Rig) -> None:
    reached = rig.host.shut("stage")
    name = await rig.deploy(rig.release("one"))
    await reached.wait()
    rig.host.fail("stage")
    for package in rig.directory.rglob("*.pkg"):
        package.unlink()
    rig.host.open("stage")
    assert (await rig.ended(name)).status == "succeeded"
    assert rig.host.calls.count("lacking") == 2


async def test_a_plan_of_an_earlier_version_is_gone_on_with(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    step = engine.step

    async def earlier(name: str, work: Any, *args: Any) -> Any:
        steps.append(name)
        found = await step(name, work, *args)
        return {} if name == "plan" else found

    monkeypatch.setattr(engine, "step", earlier)
    assert (await rig.run("one")).status == "succeeded"
    assert steps[:2] == ["plan", "resume"]


def _results(rig: Rig, action: str) -> list[dict[str, Any]]:
    with rig.database.reading() as connection:
        rows = connection.exec_driver_sql(
            "select id from deployments order by created_at"
        ).scalars()
        names = list(rows)
    found = [row for name in names for row in rig.ctx.ledger.step_rows(name)]
    return [row["result"] for row in found if row["action"] == action and row["result"]]
