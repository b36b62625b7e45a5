"""The exposition: names and labels that the field expects, in both formats, and nothing stale."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.monitoring.counting import OLD, RELEASE, Host
from turnout.monitoring.exposition import DeploymentKey, Facts, render

LABELS = {
    "project": "shop",
    "environment": "production",
    "release": RELEASE[:12],
    "revision": OLD,
    "host": "one",
}
KEY = DeploymentKey("shop", "production", "deployment", "canary", "succeeded")
FACTS = Facts({KEY: [3.0, 30.0]}, {"running": 2}, "1.2.3")


def _host() -> Host:
    host = Host("one")
    host.serve(OLD, 10, errors=2, ms=100.0, in_flight=3)
    host.work(OLD, 0, 12.5, memory=4096, files=7)
    return host


def _samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in plain(text)
        for sample in family.samples
    }


def test_names_labels_and_values() -> None:
    body, media_type = render(["one", "two"], {"one": _host().tell(100)}, FACTS, 101)
    assert media_type.startswith("text/plain; version=0.0.4")
    found = _samples(body.decode())

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset({**LABELS, **labels}.items())]

    assert value("turnout_requests_total", code_class="2xx") == 8
    assert value("turnout_requests_total", code_class="5xx") == 2
    assert value("turnout_in_flight") == 3
    assert value("turnout_release_weight") == 50
    assert value("turnout_request_duration_seconds_bucket", le="0.05") == 0
    assert value("turnout_request_duration_seconds_bucket", le="0.1") == 10
    assert value("turnout_request_duration_seconds_bucket", le="+Inf") == 10
    assert value("turnout_request_duration_seconds_count") == 10
    assert value("turnout_request_duration_seconds_sum") == 0.75
    assert value("turnout_instance_cpu_seconds_total", instance="0") == 12.5
    assert value("turnout_instance_resident_memory_bytes", instance="0") == 4096
    assert value("turnout_instance_open_fds", instance="0") == 7
    assert value("turnout_instance_restarts_total", instance="0") == 0
    kind = frozenset(vars_of(KEY).items())
    assert found["turnout_deployments_total", kind] == 2
    assert found["turnout_deployment_duration_seconds_count", kind] == 2
    assert found["turnout_deployments_open", frozenset({("status", "running")})] == 2
    assert found["turnout_host_up", frozenset({("host", "one")})] == 1
    assert found["turnout_host_up", frozenset({("host", "two")})] == 0
    assert found["turnout_build_info", frozenset({("version", "1.2.3")})] == 1
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def vars_of(key: DeploymentKey) -> dict[str, str]:
    return {
        "project": key.project,
        "environment": key.environment,
        "kind": key.kind,
        "strategy": key.strategy,
        "status": key.status,
    }


def test_openmetrics_where_it_is_asked_for() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    body, media_type = render(["one"], {"one": _host().tell(100)}, FACTS, 101, accept)
    assert media_type.startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(body.decode())}
    assert {"turnout_requests", "turnout_request_duration_seconds", "turnout_build"} <= names


def test_a_host_that_has_been_silent_is_left_out() -> None:
    body, _ = render(["one"], {"one": _host().tell(100)}, FACTS, 200)
    assert b"turnout_requests_total{" not in body
    assert b'turnout_host_up{host="one"} 0.0' in body
