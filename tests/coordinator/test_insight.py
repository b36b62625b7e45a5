"""What the coordinator tells of live traffic, and what it does to routers and sends elsewhere."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.coordinator.hosts import GatedHost
from tests.coordinator.rig import APP, Rig, launched
from turnout.base import clock
from turnout.base.errors import Failed, InvalidInput, NotFound, Unreachable
from turnout.monitoring import otlp
from turnout.monitoring.logsearch import Query
from turnout.monitoring.otlp import Endpoint
from turnout.web.ports import Evidenced, Pulsed
from turnout.wire.api import DeploymentDetail
from turnout.wire.rollout import AnalysisSpec

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(
    anyio_backend: str, tmp_path: Path, host: GatedHost, migrated: Path
) -> AsyncIterator[Rig]:
    shutil.copy(migrated, tmp_path / "turnout.db")
    async with launched(Rig(tmp_path, host)) as found:
        yield found


def revision(rig: Rig, name: str) -> str:
    return APP.revision(rig.release(name))


async def test_the_dashboard_finds_all_that_it_can_show(rig: Rig) -> None:
    assert isinstance(rig.coordinator, Evidenced)
    assert isinstance(rig.coordinator, Pulsed)


async def test_traffic_that_is_collected_is_told_in_every_way(rig: Rig) -> None:
    await rig.run("one")
    rig.host.made_up.requests = 50
    async with asyncio.timeout(20):
        while not any(await rig.coordinator.pulse("shop", "production")):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    since = clock.now() - timedelta(minutes=1)
    found = await rig.coordinator.traffic_history("shop", "production", since)
    (line,) = found.lines
    assert line.revision == revision(rig, "one")
    assert sum(point.requests for point in line.points) >= 50
    assert line.points[-1].weight == 100
    assert line.points[-1].latency_ms["p99"] is not None
    body, media_type = await rig.coordinator.metrics_text()
    assert media_type.startswith("text/plain")
    text = body.decode()
    assert 'turnout_requests_total{code_class="2xx",environment="production"' in text
    assert 'turnout_deployments_total{environment="production",kind="deployment"' in text
    with pytest.raises(NotFound):
        await rig.coordinator.traffic_history("shop", "nowhere", since)
    with pytest.raises(InvalidInput):
        await rig.coordinator.traffic_history("shop", "production", since, since)


async def test_a_release_that_turns_bad_after_its_success_goes_back_by_itself(rig: Rig) -> None:
    rig.host.made_up.requests = 500
    await rig.run("one")
    await asyncio.sleep(2.1)
    done = await rig.run("two", analysis=AnalysisSpec(latency_p99=None))
    assert done.status == "succeeded"
    rig.host.made_up.errors[revision(rig, "two")] = 0.5
    async with asyncio.timeout(60):
        async for batch in rig.events.follow(0):
            ends = [event for event in batch if event.kind == "deployment.finished"]
            if any(str(event.deployment).startswith("rol") for event in ends):
                break
    assert dict(rig.host.routes["shop/production"].weights) == {revision(rig, "one"): 100}
    page = await rig.coordinator.list(project="shop")
    rollback = page.items[0]
    assert rollback.kind == "rollback"
    assert rollback.requested_by == "turnout"
    assert "error_rate" in rollback.message


async def test_lines_and_errors_are_found_over_all_releases(rig: Rig) -> None:
    await rig.run("one")
    await rig.run("two")
    for name in ("one", "two"):
        await rig.host.write("shop/production", revision(rig, name), f"hello from {name}")
        await rig.host.write("shop/production", revision(rig, name), "ERROR: order 17 is lost")
    found = await rig.coordinator.search_logs(Query(scope="shop/production", text="HELLO"))
    assert {hit.line.text for hit in found.hits} == {"hello from one", "hello from two"}
    assert {hit.release for hit in found.hits} == {rig.release("one"), rig.release("two")}
    one = await rig.coordinator.search_logs(Query(release=rig.release("one")[:8]))
    assert {hit.line.text for hit in one.hits} == {"hello from one", "ERROR: order 17 is lost"}
    (kind,), _ = await rig.coordinator.log_errors(Query(scope="shop/"))
    assert kind.count == 2
    assert set(kind.revisions) == {revision(rig, "one"), revision(rig, "two")}
    assert (await rig.coordinator.search_logs(Query(scope="other/"))).hits == ()


async def test_routers_are_restarted_and_their_access_logs_switched(rig: Rig) -> None:
    await rig.run("one")
    assert (await rig.coordinator.restart_router("local", "ada")).epoch == 1
    with pytest.raises(NotFound):
        await rig.coordinator.restart_router("elsewhere", "ada")
    rig.host.fail("restart_router", error=Failed("The fresh one did not take over"))
    with pytest.raises(Failed):
        await rig.coordinator.restart_router("local", "ada")
    await rig.coordinator.access_log("shop", "production", True, "ada")
    assert rig.host.logged == {"shop/production"}
    await rig.coordinator.access_log("shop", "production", False, "ada")
    assert rig.host.logged == set()
    with pytest.raises(NotFound):
        await rig.coordinator.access_log("shop", "nowhere", True, "ada")
    kinds = [event.kind for event in rig.events.after(0, limit=1000)]
    assert kinds.count("router.restarted") == 1
    assert kinds.count("access_log.switched") == 2


async def test_lines_of_the_log_say_what_they_are_about(rig: Rig) -> None:
    lines: list[dict[str, Any]] = []

    def keep(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        lines.append(dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        rig.host.fail("await_ready", error=Unreachable("It does not answer"))
        done = await rig.run("one")
    finally:
        structlog.configure(**before)
    (failed,) = [line for line in lines if line["event"] == "step.failed"]
    about = {"deployment": done.id, "release": done.release, "phase": "validation",
             "action": "await-ready", "host": "local", "project": "shop"}  # fmt: skip
    assert about.items() <= failed.items()
    assert isinstance(failed["step"], int)
    ended = [line["step"] for line in lines if line["event"] == "step.ended"]
    assert ended == list(range(len(done.steps)))
    assert structlog.contextvars.get_contextvars() == {}


async def test_a_trace_is_sent_at_each_end_and_its_failure_touches_nothing(
    tmp_path: Path, host: GatedHost, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: asyncio.Queue[DeploymentDetail] = asyncio.Queue()

    async def export(detail: DeploymentDetail, endpoint: Endpoint) -> int:
        assert endpoint.url == "http://127.0.0.1:9/v1/traces"
        await sent.put(detail)
        if sent.qsize() == 1:
            raise Unreachable("The collector of traces cannot be reached")
        raise ZeroDivisionError

    monkeypatch.setattr(otlp, "export", export)
    shutil.copy(migrated, tmp_path / "turnout.db")
    endpoint = otlp.endpoint_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    async with launched(Rig(tmp_path, host, traces=endpoint)) as rig:
        done = [await rig.run(name) for name in ("one", "two")]
        async with asyncio.timeout(10):
            found = [await sent.get() for _ in done]
    assert [one.status for one in done] == ["succeeded", "succeeded"]
    assert [(one.id, one.status) for one in found] == [(one.id, one.status) for one in done]
    assert all(step.finished_at for step in found[0].steps)
