"""Watching a release that is live: going back is tried once, for what failed fails again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import APP, Rig, launched
from turnout.wire import agent as wire
from turnout.wire.api import DeploymentDocument
from turnout.wire.rollout import AnalysisSpec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(
    anyio_backend: str, tmp_path: Path, host: GatedHost, migrated: Path
) -> AsyncIterator[Rig]:
    shutil.copy(migrated, tmp_path / "turnout.db")
    async with launched(Rig(tmp_path, host)) as found:
        yield found


async def rollbacks(rig: Rig) -> list[DeploymentDocument]:
    page = await rig.coordinator.list(project="shop")
    return [one for one in page.items if one.kind == "rollback"]


async def test_a_way_back_that_failed_is_not_tried_again_and_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.host.made_up.requests = 500
    one = APP.revision(rig.release("one"))
    await rig.run("one")
    await asyncio.sleep(2.1)
    await rig.run("two", analysis=AnalysisSpec(latency_p99=None))
    bad = wire.ProbeResult(verdict="bad", reason="it is broken", attempts=1)
    rig.host.verdicts[one] = bad
    probe = rig.host.probe

    async def slow(wanted: wire.ProbeWanted) -> wire.ProbeResult:
        # So long that the watcher sees that somebody else holds the environment meanwhile.
        await asyncio.sleep(1.5)
        return await probe(wanted)

    monkeypatch.setattr(rig.host, "probe", slow)
    rig.host.made_up.errors[APP.revision(rig.release("two"))] = 0.5
    async with asyncio.timeout(60):
        async for batch in rig.events.follow(0):
            if any(
                event.kind == "deployment.finished" and str(event.deployment).startswith("rol")
                for event in batch
            ):
                break
    # Nobody tells that nothing begins; it began within a second or two.
    await asyncio.sleep(4)
    (only,) = await rollbacks(rig)
    assert (only.status, only.cause) == ("failed", "verdict")
