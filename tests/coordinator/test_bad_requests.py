"""Requests that are well formed and mean harm: impossible moments, limits and secrets."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.coordinator.goingback import asked
from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import Rig, launched
from turnout.base.errors import InvalidInput
from turnout.coordinator import evidence, judging
from turnout.monitoring.ticks import Arm
from turnout.wire.rollout import AnalysisSpec, MetricSpec

pytestmark = pytest.mark.anyio
TINY = AnalysisSpec.model_validate({"alpha": 5e-324})
NO_SHARE = AnalysisSpec.model_validate({"error_rate": {"max": 5.0}})
ENDLESS = AnalysisSpec.model_validate({"latency_p99": {"max": float("inf")}})
NO_NUMBER = AnalysisSpec(
    metrics=(MetricSpec(name="queue", source="logs", query="x", max=float("nan")),)
)
TWICE = AnalysisSpec(
    metrics=tuple(MetricSpec(name="queue", source="logs", query="x", max=n) for n in (1, 2))
)


@pytest.fixture
async def rig(
    anyio_backend: str, tmp_path: Path, host: GatedHost, migrated: Path
) -> AsyncIterator[Rig]:
    shutil.copy(migrated, tmp_path / "turnout.db")
    async with launched(Rig(tmp_path, host)) as found:
        yield found


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"])
async def test_a_moment_before_all_times_is_refused_in_words(rig: Rig, at: str) -> None:
    await rig.run("one")
    with pytest.raises(InvalidInput):
        await rig.coordinator.plan_rollback(asked(at=at))


@pytest.mark.parametrize("policy", [TINY, NO_SHARE, ENDLESS, NO_NUMBER, TWICE])
async def test_an_analysis_that_cannot_judge_is_refused_before_anything_moves(
    rig: Rig, policy: AnalysisSpec
) -> None:
    await rig.run("one")
    before = rig.picture()
    with pytest.raises(InvalidInput):
        await rig.deploy(rig.release("two"), analysis=policy)
    assert len((await rig.coordinator.list(project="shop")).items) == 1
    assert rig.picture() == before


def test_the_smallest_share_that_is_allowed_can_be_judged() -> None:
    policy = AnalysisSpec(alpha=1e-9)
    judging.check(policy)
    state = judging.begin_watch(policy, {"control": "x"}, None)
    arm = Arm(100, 1, ((5.0, 100),))
    for _ in range(5):
        state = judging.observe(
            state, available=True, candidate=arm, control=arm, weights=(50, 50), metrics={}
        )
    assert judging.verdict(state).verdict == "unknown"
    assert all(line > 0 for line in judging.log_thresholds(policy).values())


async def test_evidence_tells_nobody_the_secrets_of_a_metrics_address(rig: Rig) -> None:
    url = "https://ada:hunter2@metrics.example:9090/api?token=hidden"
    metric = MetricSpec(name="queue", source="prometheus", url=url, query="up", max=1)
    done = await rig.run("one", analysis=AnalysisSpec(metrics=(metric,)))
    found = await rig.coordinator.evidence(done.id)
    text = found.model_dump_json()
    assert "https://metrics.example:9090" in text
    assert "hunter2" not in text and "hidden" not in text


async def test_many_replays_leave_threads_for_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = most = 0

    async def slow(*_: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    monkeypatch.setattr(evidence, "replay", slow)
    await asyncio.gather(*(rig.coordinator.replay("dep-1", AnalysisSpec()) for _ in range(10)))
    assert most == 1
