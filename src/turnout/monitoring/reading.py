"""Series as they are read: a line of points for each revision and each instance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from turnout.monitoring.differences import ROUTER, Source
from turnout.monitoring.histograms import quantile
from turnout.monitoring.keeping import Row
from turnout.monitoring.measures import (
    CLASSES,
    Counts,
    Usage,
    sum_counts,
    sum_hosts,
    sum_usage,
    unpack,
)

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Point:
    """One stretch of one revision, all hosts together.

    Attributes:
        at: Its beginning, seconds since 1970.
        counts: What was counted in it.
    """

    at: int
    counts: Counts

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.counts.requests / self.counts.seconds if self.counts.seconds else 0.0

    @property
    def error_rate(self) -> float | None:
        """Share of the requests that ended in an error; None without requests."""
        total = max(self.counts.requests, self.counts.errors)
        return self.counts.errors / total if total else None

    @property
    def by_class(self) -> dict[str, int]:
        """Requests by status class."""
        return dict(zip(CLASSES, self.counts.classes, strict=True))

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """Quantiles in milliseconds."""
        return {name: quantile(self.counts.latency, q) for name, q in QUANTILES.items()}


@dataclass(frozen=True)
class UsagePoint:
    """One stretch of one instance; what it says of memory and files holds until the next."""

    at: int
    usage: Usage


@dataclass(frozen=True)
class InstanceSeries:
    """The line of one instance."""

    host: str
    index: int
    points: tuple[UsagePoint, ...]


@dataclass(frozen=True)
class RevisionSeries:
    """The lines of one revision; stretches in which nothing happened have no point."""

    revision: str
    release: str
    points: tuple[Point, ...]
    instances: tuple[InstanceSeries, ...]

    @property
    def total(self) -> Counts:
        """Everything together."""
        return sum_counts(point.counts for point in self.points)


@dataclass(frozen=True)
class ScopeSeries:
    """The lines of a scope.

    Attributes:
        resolution: Seconds that one point stands for.
        since: The beginning.
        until: The end, which does not belong to it.
        missed: Seconds in which a host could not be asked, as far as memory reaches; what
            happened in them is in the next point of that host.
    """

    scope: str
    resolution: int
    since: int
    until: int
    revisions: tuple[RevisionSeries, ...]
    missed: tuple[int, ...] = ()


def series_of(
    scope: str, step: int, since: int, until: int, rows: Iterable[Row], missed: tuple[int, ...]
) -> ScopeSeries:
    """Put rows, oldest first and none coarser than *step*, together as lines."""
    counts: defaultdict[str, defaultdict[int, defaultdict[str, list[Counts]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    usage: defaultdict[str, defaultdict[tuple[str, int], defaultdict[int, list[Usage]]]] = (
        defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    )
    releases: dict[str, str] = {}
    for row in rows:
        source, at = row.source, row.at // step * step
        releases[source.revision] = source.release or releases.get(source.revision, "")
        measure = unpack(row.data)
        if isinstance(measure, Counts):
            counts[source.revision][at][source.host].append(measure)
        else:
            usage[source.revision][source.host, source.index][at].append(measure)
    return ScopeSeries(
        scope,
        step,
        since,
        until,
        tuple(
            RevisionSeries(
                revision,
                release,
                tuple(
                    Point(at, sum_hosts(sum_counts(parts) for parts in hosts.values()))
                    for at, hosts in sorted(counts[revision].items())
                ),
                tuple(
                    InstanceSeries(
                        host,
                        index,
                        tuple(UsagePoint(at, sum_usage(of)) for at, of in sorted(line.items())),
                    )
                    for (host, index), line in sorted(usage[revision].items())
                ),
            )
            for revision, release in sorted(releases.items())
        ),
        missed,
    )


def counts(measures: Mapping[Source, bytes]) -> Sequence[tuple[Source, Counts]]:
    """Return the router's counts among packed measures."""
    found = ((source, unpack(data)) for source, data in measures.items() if source.index == ROUTER)
    return [(source, measure) for source, measure in found if isinstance(measure, Counts)]
