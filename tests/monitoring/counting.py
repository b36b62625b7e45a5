"""A host that counts, for tests: what it is asked for is cumulative, as the real one's is."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnout.wire.statistics import HostStatistics, InstanceUsage, RevisionCounters

SCOPE = "shop/production"
OLD, NEW = "a" * 16, "b" * 16
RELEASE = "f" * 64


@dataclass
class Host:
    """Counts up and tells."""

    name: str = "one"
    since: str = "start-1"
    counters: dict[str, RevisionCounters] = field(default_factory=dict)
    instances: dict[tuple[str, int], InstanceUsage] = field(default_factory=dict)

    def serve(
        self,
        revision: str,
        requests: int,
        errors: int = 0,
        ms: float = 10.0,
        in_flight: int = 0,
        scope: str = SCOPE,
    ) -> None:
        """Count requests, all in the bucket up to *ms*."""
        old = self.counters.get(
            revision, RevisionCounters(scope=scope, revision=revision, release=RELEASE)
        )
        latency = dict(old.latency)
        latency[ms] = latency.get(ms, 0) + requests
        by_class = dict(old.by_class)
        by_class["2xx"] = by_class.get("2xx", 0) + requests - errors
        by_class["5xx"] = by_class.get("5xx", 0) + errors
        self.counters[revision] = old.model_copy(
            update={
                "requests": old.requests + requests,
                "by_class": by_class,
                "latency": tuple(sorted(latency.items())),
                "in_flight": in_flight,
                "weight": 50,
            }
        )

    def work(
        self, revision: str, index: int, cpu_s: float, memory: int = 1000, files: int = 5
    ) -> None:
        """Let an instance use processor time and memory."""
        old = self.instances.get(
            (revision, index),
            InstanceUsage(scope=SCOPE, revision=revision, index=index, started_at=0.0),
        )
        self.instances[revision, index] = old.model_copy(
            update={"cpu_s": old.cpu_s + cpu_s, "memory_bytes": memory, "open_files": files}
        )

    def restart_router(self) -> None:
        """Begin counting anew."""
        self.since += "+"
        self.counters.clear()

    def tell(self, at: float) -> HostStatistics:
        """Return everything counted so far."""
        return HostStatistics(
            host=self.name,
            at=at,
            counting_since=self.since,
            revisions=tuple(self.counters.values()),
            instances=tuple(self.instances.values()),
        )
