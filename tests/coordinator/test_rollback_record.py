"""What is recorded of a rollback: who, why, what made it, from, to, how long, what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.coordinator.goingback import asked, back, live, small_rig
from tests.coordinator.hosts import bad
from tests.coordinator.rig import APP, Rig
from turnout.base.errors import Aborted, Failed
from turnout.coordinator import costing
from turnout.wire.api import DeploymentDetail
from turnout.wire.evidence import VerdictDocument
from turnout.wire.rollout import Allowance, AnalysisSpec

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with small_rig(tmp_path) as made:
        yield made


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[Rig]:
    """A coordinator that counts, on a host with live traffic."""
    async with small_rig(tmp_path, collects=True) as made:
        made.host.made_up.requests = 200
        yield made


async def counted(rig: Rig, deployment: str) -> DeploymentDetail:
    """Wait until somebody has counted what a deployment cost."""
    await rig.until(deployment, "requests.counted")
    return await rig.coordinator.show(deployment)


async def seconds(rig: Rig, count: int) -> None:
    """Wait until so many more seconds were collected."""
    async with asyncio.timeout(PATIENCE_S):
        async for _ in rig.ctx.ticks.follow("shop/production"):
            count -= 1
            if not count:
                return


async def test_an_automatic_rollback_is_part_of_its_deployment(rig: Rig) -> None:
    one = await rig.run("one")
    release = rig.release("two")
    verdict = rig.host.verdicts
    reached = rig.host.shut("probe")
    under_way = await rig.deploy(release)
    await reached.wait()
    verdict[APP.revision(release)] = bad()
    rig.host.open("probe")
    found = await rig.ended(under_way)

    assert (found.status, found.cause, found.kind) == ("rolled_back", "failure", "deployment")
    started = await rig.until(under_way, "rollback.started")
    assert (started.data["cause"], started.data["automatic"]) == ("failure", True)
    assert await live(rig) == one.release
    assert [item.id for item in (await rig.coordinator.list()).items] == [under_way, one.id]


async def test_who_aborts_makes_it_go_back(rig: Rig) -> None:
    reached = rig.host.shut("await_ready")
    under_way = await rig.deploy(rig.release("one"))
    await reached.wait()
    await rig.coordinator.act(under_way, "abort", "wrong button", "ada")
    assert (await rig.ended(under_way)).cause == "manual"


async def test_errors_on_live_traffic_are_a_verdict(rig: Rig) -> None:
    await rig.run("one")
    release = rig.release("two")
    rig.host.failing.add(APP.revision(release))
    found = await rig.ended(await rig.deploy(release, verify=0.3, verify_min_requests=1))
    assert (found.status, found.cause) == ("rolled_back", "verdict")


async def test_a_success_has_no_cause(rig: Rig) -> None:
    assert (await rig.run("one")).cause == ""


async def test_a_program_is_told_from_a_person(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two")
    started = await rig.coordinator.rollback(asked(), "robot", "api")
    assert (started.cause, started.requested_by) == ("api", "robot")
    await rig.ended(started.id)


def metric(word: str, increase: float | None, dry: bool = False) -> dict[str, object]:
    return {"verdict": word, "max_increase": increase, "dry_run": dry}


@pytest.mark.parametrize(
    ("metrics", "cause"),
    [
        ({"error_rate": metric("bad", 0.0)}, "verdict"),
        ({"error_rate": metric("good", 0.0), "p99": metric("bad", None)}, "slo"),
        ({"error_rate": metric("bad", 0.0), "p99": metric("bad", None)}, "verdict"),
        ({"p50": metric("bad", 0.2, dry=True), "p99": metric("bad", None)}, "slo"),
        ({}, "verdict"),
    ],
)
def test_what_exceeds_a_limit_of_its_own_is_an_slo(
    metrics: dict[str, dict[str, object]], cause: str
) -> None:
    verdict = VerdictDocument(verdict="bad", metrics=metrics)
    assert costing.cause_of_verdict(verdict) == cause
    told = Failed("It is bad", facts={"verdict": verdict.model_dump(mode="json")})
    assert costing.cause_of(told) == cause


def test_other_causes() -> None:
    assert costing.cause_of(Aborted("off")) == "manual"
    assert costing.cause_of(Failed("broken")) == "failure"


async def test_a_manual_rollback_tells_what_it_cost(busy: Rig) -> None:
    one = await busy.run("one")
    two = await busy.run("two")
    assert two.failed_requests is None
    busy.host.made_up.errors[APP.revision(two.release)] = 0.5
    # The made-up traffic errs in hindsight: what was counted before must not count any more.
    await seconds(busy, 2)
    found = await back(busy, reason="half of it fails")
    assert found.failed_requests is None

    found = await counted(busy, found.id)
    assert found.failed_requests is not None
    assert found.failed_requests > 0
    assert found.failed_requests % 100 == 0  # whole seconds, at 100 failed requests each
    told = (await busy.until(found.id, "requests.counted")).data
    assert (told["by"], told["cause"], told["why"]) == ("ada", "manual", "half of it fails")
    assert (told["origin"], told["target"]) == (two.release, one.release)
    assert told["took_s"] == found.duration_s
    assert told["failed_requests"] == found.failed_requests


async def test_what_cost_nothing_says_so(busy: Rig) -> None:
    one = await busy.run("one")
    assert (await counted(busy, one.id)).failed_requests == 0


async def test_the_watch_goes_back_by_itself_and_says_why(busy: Rig) -> None:
    one = await busy.run("one")
    # Nothing was counted of one yet, so there is only the limit to judge by.
    limits = AnalysisSpec(error_rate=Allowance(max_increase=0.0, max=0.05), latency_p99=None)
    two = await busy.run("two", watch=60.0, analysis=limits)
    busy.host.made_up.errors[APP.revision(two.release)] = 0.5
    async with asyncio.timeout(PATIENCE_S):
        async for batch in busy.events.follow(0):
            if any(event.data.get("cause") for event in batch if event.kind == "deployment.queued"):
                break
    (newest, *_) = (await busy.coordinator.list()).items
    assert (newest.kind, newest.requested_by) == ("rollback", "turnout")
    assert newest.cause == "slo"
    assert "error_rate" in newest.message
    assert (await busy.ended(newest.id)).release == one.release
