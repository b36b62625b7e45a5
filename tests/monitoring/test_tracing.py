"""A deployment's trace: spans of phases and steps, sent to a real collector, the same each time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.monitoring.sources.servers import serving
from turnout.base.errors import Failed, InvalidInput, Unreachable
from turnout.monitoring import otlp
from turnout.monitoring.otlp import Endpoint, endpoint_of, export
from turnout.monitoring.tracing import spans, trace_id
from turnout.wire.api import DeploymentDetail, PhaseDocument, StepDocument

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
ID = "dep-01jabcdefgh"


def _at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def _step(index: int, **told: Any) -> StepDocument:
    told = {"phase": "staging", "status": "done", "started_at": _at(2), **told}
    return StepDocument(
        index=index, action="start", title="Start it", attempts=1, **{"host": "one", **told}
    )


def _detail(**told: Any) -> DeploymentDetail:
    facts: dict[str, Any] = {
        "id": ID,
        "kind": "deployment",
        "project": "shop",
        "environment": "production",
        "strategy": "canary",
        "release": "f" * 64,
        "status": "failed",
        "phase": "staging",
        "created_at": _at(-10),
        "started_at": BEGAN,
        "finished_at": _at(9),
        "duration_s": 9.0,
        "url": "http://x",
        "release_url": "/r",
        "events_url": "/e",
        "reason": "it did not start: http://user:hush@x/",
        "phases": (
            PhaseDocument(name="initiation", status="done", started_at=BEGAN, finished_at=_at(1)),
            PhaseDocument(name="staging", status="failed", started_at=_at(1)),
            PhaseDocument(name="validation", status="pending"),
        ),
        "steps": (
            _step(0, finished_at=_at(3)),
            _step(1, host=None, status="failed", finished_at=_at(8), error="no answer"),
            _step(2, started_at=None, status="pending"),
        ),
    }
    return DeploymentDetail.model_validate({**facts, **told})


def test_phases_hold_steps_and_the_deployment_holds_phases() -> None:
    root, first, staging, zero, one = spans(_detail())
    assert root.parent is None
    assert (first.parent, staging.parent) == (root.id, root.id)
    assert (zero.parent, one.parent) == (staging.id, staging.id)
    assert [span.name for span in (root, first, zero)] == [
        "deployment shop/production",
        "phase initiation",
        "step start",
    ]
    assert root.started == round(BEGAN.timestamp() * 1e6) * 1000
    assert root.ended - root.started == 9_000_000_000
    # A phase that nobody ended ends with the deployment.
    assert staging.ended == root.ended
    assert (first.error, staging.error, one.error) == (None, "the phase failed", "no answer")
    assert root.error is not None
    assert "hush" not in root.error
    assert zero.attributes["turnout.host"] == "one"
    assert "turnout.host" not in one.attributes
    assert root.attributes["deployment.status"] == "failed"


def test_the_same_deployment_has_the_same_trace_for_ever() -> None:
    assert spans(_detail()) == spans(_detail())
    assert trace_id(ID) == trace_id(ID) != trace_id("dep-other")
    assert len({span.id for span in spans(_detail())}) == 5
    other = {span.id for span in spans(_detail(id="dep-other"))}
    assert not other & {span.id for span in spans(_detail())}
    assert [int(span.trace, 16).bit_length() <= 128 for span in spans(_detail())]


def test_one_that_was_never_started_has_a_trace_too() -> None:
    (root,) = spans(_detail(started_at=None, finished_at=None, phases=(), steps=()))
    assert root.ended == root.started


def test_steps_of_a_phase_that_is_not_recorded_stand_under_the_deployment() -> None:
    root, step = spans(_detail(phases=(), steps=(_step(0),)))
    assert step.parent == root.id


@pytest.mark.anyio
async def test_a_collector_reads_what_was_sent() -> None:
    async with serving() as collector:
        endpoint = Endpoint(f"{collector.url}/v1/traces", {"authorization": "Bearer x"})
        assert await export(_detail(), endpoint) == 5
        await export(_detail(), endpoint)
        bodies = []
        for line, headers, body in collector.requests:
            assert line == "POST /v1/traces HTTP/1.1"
            assert headers["content-type"] == "application/x-protobuf"
            assert headers["authorization"] == "Bearer x"
            bodies.append(body)
    assert bodies[0] == bodies[1]
    (resource,) = ExportTraceServiceRequest.FromString(bodies[0]).resource_spans
    named = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert named["service.name"] == "turnout"
    found = resource.scope_spans[0].spans
    assert {span.trace_id.hex() for span in found} == {trace_id(ID)}
    by_name = {span.name: span for span in found}
    root = by_name["deployment shop/production"]
    assert by_name["phase staging"].parent_span_id == root.span_id
    assert root.status.code == 2
    assert by_name["phase initiation"].end_time_unix_nano == root.start_time_unix_nano + 10**9
    attributes = {item.key: item.value for item in by_name["step start"].attributes}
    assert attributes["turnout.attempts"].int_value == 1


@pytest.mark.anyio
async def test_a_collector_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "_BACK_OFF_S", 0.05)
    async with serving(status=503) as collector:
        endpoint = Endpoint(collector.url)
        sending = asyncio.create_task(export(_detail(), endpoint))
        while not collector.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        collector.status = 200
        assert await sending == 5
        assert len(collector.requests) == 2


@pytest.mark.anyio
async def test_a_collector_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(status=401) as collector, serving() as inner:
        with pytest.raises(Failed, match="401"):
            await export(_detail(), Endpoint(f"{collector.url}/x?key=hush"))
        collector.status, collector.headers = 307, {"Location": inner.url}
        with pytest.raises(Failed, match="307"):
            await export(_detail(), Endpoint(collector.url, {"authorization": "hush"}))
        assert (len(collector.requests), inner.requests) == (2, [])


@pytest.mark.anyio
async def test_a_collector_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "_BACK_OFF_S", 0.01)
    async with serving() as collector:
        url = f"http://user:hush@127.0.0.1:{collector.port}/v1/traces"
    with pytest.raises(Unreachable) as raised:
        await export(_detail(), Endpoint(url))
    assert "hush" not in str(raised.value.to_document())


@pytest.mark.parametrize(
    ("environ", "setting", "url"),
    [
        ({}, None, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, None, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/p/"}, None, "http://c:4318/p/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t"}, None, "http://c/t"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/t"}, "http://s", "http://s/v1/traces"),
    ],
)
def test_where_traces_go(environ: dict[str, str], setting: str | None, url: str | None) -> None:
    found = endpoint_of(environ, setting)
    assert (found.url if found else None) == url


def test_headers_and_time_of_the_environment() -> None:
    found = endpoint_of(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://c",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hush, x = y,broken,z=%0d%0aa",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        }
    )
    assert found is not None
    assert found.headers == {"authorization": "Bearer hush", "x": "y"}
    assert found.timeout == 2.5
    assert "hush" not in repr(found)


@pytest.mark.parametrize("url", ["c:4317", "grpc://c:4317", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidInput):
        endpoint_of({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
