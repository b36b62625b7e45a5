"""What Prometheus reads: everything that is counted, in its text format or OpenMetrics.

Requests and instances are told as the hosts count them, cumulative, so that the reader sees a
restart of the router as the reset it is.  A host that has been silent for a while is left out:
its old numbers would look like news.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from turnout.monitoring.histograms import LADDER, count_of, mean
from turnout.monitoring.measures import CLASSES
from turnout.wire.statistics import HostStatistics, RevisionCounters

SILENT_S = 15.0
"""Seconds without an answer after which a host's numbers are left out."""

_RELEASE_CHARS = 12
_OF_REVISION = ("project", "environment", "release", "revision", "host")
_OF_INSTANCE = (*_OF_REVISION, "instance")
_OF_DEPLOYMENT = ("project", "environment", "kind", "strategy", "status")
_DURATIONS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0)


@dataclass(frozen=True, order=True)
class DeploymentKey:
    """What deployments are counted by."""

    project: str
    environment: str
    kind: str
    strategy: str
    status: str


@dataclass(frozen=True)
class Facts:
    """What the ledger knows.

    Attributes:
        ended: Deployments that have ended, by their end, with how long each took in seconds.
        open: Deployments that have not ended, by status.
        version: The server's.
    """

    ended: Mapping[DeploymentKey, Sequence[float]] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    version: str = ""


def render(
    hosts: Iterable[str],
    latest: Mapping[str, HostStatistics],
    facts: Facts,
    now: float,
    accept: str = "",
) -> tuple[bytes, str]:
    """Return the exposition and its media type.

    Args:
        hosts: All that should answer.
        latest: The newest statistics of each, cumulative.
        facts: What the ledger knows.
        now: Seconds since 1970.
        accept: What the reader would like, as its Accept header says.
    """
    fresh = {host: one for host, one in latest.items() if now - one.at <= SILENT_S}
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Families(tuple(hosts), fresh, facts))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Families(Collector):
    """Hands the families of one reading to the library."""

    def __init__(
        self, hosts: tuple[str, ...], fresh: Mapping[str, HostStatistics], facts: Facts
    ) -> None:
        self._hosts = hosts
        self._fresh = fresh
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        info = InfoMetricFamily("turnout_build", "The server's version.")
        info.add_metric([], {"version": self._facts.version})
        yield info
        up = GaugeMetricFamily("turnout_host_up", "Whether the host answers.", labels=["host"])
        for host in self._hosts:
            up.add_metric([host], float(host in self._fresh))
        yield up
        yield from _of_revisions(self._fresh)
        yield from _of_instances(self._fresh)
        yield from _of_deployments(self._facts)


def _of_revisions(fresh: Mapping[str, HostStatistics]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "turnout_requests",
        "Completed requests, by status class.",
        labels=(*_OF_REVISION, "code_class"),
    )
    failures = CounterMetricFamily(
        "turnout_request_failures",
        "Requests that no instance answered.",
        labels=_OF_REVISION,
    )
    ejections = CounterMetricFamily(
        "turnout_instance_ejections",
        "Instances that the router took out for answering badly.",
        labels=_OF_REVISION,
    )
    in_flight = GaugeMetricFamily(
        "turnout_in_flight", "Requests and streams under way.", labels=_OF_REVISION
    )
    weight = GaugeMetricFamily(
        "turnout_release_weight",
        "Percent of the environment's traffic that it was last given.",
        labels=_OF_REVISION,
    )
    durations = HistogramMetricFamily(
        "turnout_request_duration_seconds",
        "How long requests took; the sum takes each to be in the middle of its bucket.",
        labels=_OF_REVISION,
    )
    for host, one in sorted(fresh.items()):
        for counters in one.revisions:
            labels = _labels(counters.scope, counters.release, counters.revision, host)
            for name in CLASSES:
                requests.add_metric((*labels, name), counters.by_class.get(name, 0))
            failures.add_metric(labels, counters.failures)
            ejections.add_metric(labels, counters.ejections)
            in_flight.add_metric(labels, counters.in_flight)
            weight.add_metric(labels, counters.weight)
            durations.add_metric(labels, *_buckets(counters))
    yield from (requests, failures, ejections, in_flight, weight, durations)


def _of_instances(fresh: Mapping[str, HostStatistics]) -> Iterator[Metric]:
    cpu = CounterMetricFamily(
        "turnout_instance_cpu_seconds", "Processor time used.", labels=_OF_INSTANCE
    )
    memory = GaugeMetricFamily(
        "turnout_instance_resident_memory_bytes", "Resident memory.", labels=_OF_INSTANCE
    )
    files = GaugeMetricFamily(
        "turnout_instance_open_fds", "Open file descriptors.", labels=_OF_INSTANCE
    )
    restarts = CounterMetricFamily(
        "turnout_instance_restarts", "How often it ended and was started anew.", labels=_OF_INSTANCE
    )
    started = GaugeMetricFamily(
        "turnout_instance_start_time_seconds", "When it was started.", labels=_OF_INSTANCE
    )
    for host, one in sorted(fresh.items()):
        releases = {(r.scope, r.revision): r.release for r in one.revisions}
        for used in one.instances:
            release = releases.get((used.scope, used.revision), "")
            labels = (*_labels(used.scope, release, used.revision, host), str(used.index))
            cpu.add_metric(labels, used.cpu_s)
            memory.add_metric(labels, used.memory_bytes)
            files.add_metric(labels, used.open_files)
            restarts.add_metric(labels, used.restarts)
            if used.started_at is not None:
                started.add_metric(labels, used.started_at)
    yield from (cpu, memory, files, restarts, started)


def _of_deployments(facts: Facts) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "turnout_deployments", "Deployments and rollbacks that have ended.", labels=_OF_DEPLOYMENT
    )
    durations = HistogramMetricFamily(
        "turnout_deployment_duration_seconds",
        "From the first step to the end.",
        labels=_OF_DEPLOYMENT,
    )
    for key, seconds in sorted(facts.ended.items()):
        labels = (key.project, key.environment, key.kind, key.strategy, key.status)
        total.add_metric(labels, len(seconds))
        buckets = [(str(b), float(sum(s <= b for s in seconds))) for b in _DURATIONS]
        durations.add_metric(labels, [*buckets, ("+Inf", float(len(seconds)))], sum(seconds))
    under_way = GaugeMetricFamily(
        "turnout_deployments_open", "Deployments that have not ended.", labels=["status"]
    )
    for status, count in sorted(facts.open.items()):
        under_way.add_metric([status], count)
    yield from (total, durations, under_way)


def _labels(scope: str, release: str, revision: str, host: str) -> tuple[str, ...]:
    project, _, environment = scope.partition("/")
    return project, environment, release[:_RELEASE_CHARS], revision, host


def _buckets(counters: RevisionCounters) -> tuple[list[tuple[str, float]], float]:
    # Always the same few bounds, whatever finer ones the router counts with: each is a series.
    latency = counters.latency
    buckets = [
        (str(bound / 1000), float(sum(count for upper, count in latency if upper <= bound)))
        for bound in LADDER
    ]
    total = count_of(latency)
    return [*buckets, ("+Inf", float(total))], (mean(latency) or 0.0) / 1000 * total
