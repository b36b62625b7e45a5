"""The series: what hosts counted, second by second, in memory and in the database.

In come the hosts' cumulative statistics, once a second; out go series at a resolution that
suits the time they cover, and for the judge every second as it ends (``ticks``).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from turnout.base import clock
from turnout.base.database import Database
from turnout.monitoring import reading
from turnout.monitoring.differences import Source, between
from turnout.monitoring.keeping import RESOLUTIONS, RETENTION, Keeping, Row
from turnout.monitoring.measures import Usage, pack
from turnout.monitoring.reading import ScopeSeries
from turnout.monitoring.recent import KEPT_S, Recent, Second, rows_of
from turnout.wire.statistics import HostStatistics

_MOST_POINTS = 1000
"""Points of one line that a reader gets unasked: more than a chart has pixels to show."""
_PRUNE_EVERY_S = 300
_CPU_NOTED = 0.01
"""Processors that an instance uses before a second of it is worth a place in the record."""
_CHANGE_NOTED = 0.05
"""Share by which memory or open files change before it is."""


class Series:
    """What one server knows of the traffic and the instances of all its hosts.

    Args:
        database: Where it is kept.
        now: Seconds since 1970; the clock if absent.
    """

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self._now = now or (lambda: clock.now().timestamp())
        self._keeping = Keeping(database)
        self.recent = Recent()
        self._looks: dict[str, HostStatistics] = {}
        self._coming: dict[str, dict[Source, bytes]] = {}
        self._answered: set[str] = set()
        self._noted: dict[Source, Usage] = {}
        self._written = 0
        self._pruned = 0.0
        self._persisting = threading.Lock()
        self._bells: set[Callable[[], None]] = set()

    def load(self) -> None:
        """Read the newest quarter of an hour back, once at the start.  Blocks."""
        now = math.floor(self._now())
        self.recent.fill(self._keeping.load(now - KEPT_S))
        self._written = (self.recent.newest() or now - 1) + 1

    def note(self, statistics: HostStatistics) -> None:
        """Take a host's statistics; they belong to the second that is closed next."""
        found = between(self._looks.get(statistics.host), statistics)
        self._looks[statistics.host] = statistics
        if not found.seconds:
            return
        self._answered.add(statistics.host)
        coming = self._coming.setdefault(statistics.host, {})
        for source, counts in found.counts.items():
            if not counts.idle:
                coming[source] = pack(counts)
        for source in [one for one in self._noted if one.host == statistics.host]:
            if source not in found.usage:
                del self._noted[source]
        for source, usage in found.usage.items():
            if self._is_news(source, usage):
                self._noted[source] = usage
                coming[source] = pack(usage)

    def close(self, at: int, asked: Iterable[str]) -> Second:
        """End a second: hosts of *asked* that nothing was noted of are missing in it.

        Args:
            at: The second, seconds since 1970.
            asked: The hosts that should have answered.

        Returns:
            The second, which followers of ``ticks`` now see too.
        """
        everyone = frozenset(asked)
        measures: dict[str, dict[Source, bytes]] = {}
        for of_host in self._coming.values():
            for source, data in of_host.items():
                measures.setdefault(source.scope, {})[source] = data
        second = Second(at, everyone, everyone - self._answered, True, measures)
        self._coming, self._answered = {}, set()
        for gone in set(self._looks) - everyone:
            del self._looks[gone]
        self.recent.add(second)
        for ring in tuple(self._bells):
            ring()
        return second

    def persist(self) -> int:
        """Write what is new to the database in one transaction; return how many points.

        Blocks; what cannot be written is tried again with the next call, as long as it is in
        memory.

        Raises:
            Failed: The database cannot be used.
        """
        with self._persisting:
            newest = self.recent.newest()
            if newest is None:
                return 0
            # A clock that was set back must not keep the record waiting for its old time.
            self._written = min(self._written, newest + 1)
            rows = list(rows_of(self.recent.between(self._written, newest + 1)))
            self._keeping.write(rows, newest + 1)
            self._written = newest + 1
            if clock.monotonic() - self._pruned > _PRUNE_EVERY_S:
                self._pruned = clock.monotonic()
                self._keeping.prune(math.floor(self._now()))
            return len(rows)

    def read(
        self,
        scope: str,
        since: float,
        until: float | None = None,
        resolution: int | None = None,
        revision: str | None = None,
    ) -> ScopeSeries:
        """Return the series of a scope.  Blocks for what memory does not hold.

        Args:
            scope: Whose.
            since: The beginning, seconds since 1970.
            until: The end; now if absent.
            resolution: Seconds of one point: the next of ``keeping.RESOLUTIONS`` from there on
                that is kept so long; the finest that is no flood of points if absent.
            revision: Only that one.
        """
        now = self._now()
        end = math.ceil(until if until is not None else now + 1)
        step = _resolution(now, since, end, resolution)
        begin = math.floor(since) // step * step
        rows = self._rows(scope, step, begin, end, revision)
        seconds = self.recent.between(begin, end)
        missed = tuple(second.at for second in seconds if second.missing)
        return reading.series_of(scope, step, begin, end, rows, missed)

    def latest(self) -> Mapping[str, HostStatistics]:
        """Return the newest statistics of every host, cumulative as it counted them."""
        return dict(self._looks)

    def on_second(self, ring: Callable[[], None]) -> Callable[[], None]:
        """Call *ring* in the collector's thread after each second; return what ends that."""
        self._bells.add(ring)
        return lambda: self._bells.discard(ring)

    def _rows(
        self, scope: str, step: int, begin: int, end: int, revision: str | None
    ) -> Sequence[Row]:
        """Return each part of the time from the coarsest points that are whole there."""
        rows: list[Row] = []
        since = begin
        for resolution in reversed(RESOLUTIONS[1 : RESOLUTIONS.index(step) + 1]):
            until = min(end, self._keeping.rolled(resolution))
            if until > since:
                rows += self._keeping.read(scope, resolution, since, until, revision)
                since = until
        in_memory = rows_of(self.recent.between(since, end), scope)
        return [*rows, *(row for row in in_memory if revision in (None, row.source.revision))]

    def _is_news(self, source: Source, usage: Usage) -> bool:
        """Return whether an instance does something, or changed since it was last noted."""
        known = self._noted.get(source)
        if known is None or usage.restarts or usage.cpu_s >= _CPU_NOTED * usage.seconds:
            return True
        return any(
            abs(new - old) > _CHANGE_NOTED * max(old, 1)
            for new, old in (
                (usage.memory_bytes, known.memory_bytes),
                (usage.open_files, known.open_files),
            )
        )


def _resolution(now: float, since: float, end: float, wanted: int | None) -> int:
    fine_enough = wanted or 0
    for resolution, kept in RETENTION.items():
        if resolution < fine_enough or since < now - kept:
            continue
        if wanted is not None or (end - since) / resolution <= _MOST_POINTS:
            return resolution
    return RESOLUTIONS[-1]
