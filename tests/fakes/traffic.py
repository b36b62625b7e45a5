"""Live traffic of a fake host: so many requests at each look, split by weight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.wire import agent as wire
from turnout.wire.statistics import BOUNDS_MS, RevisionCounters

FAST, SLOW = 25, 35  # places in BOUNDS_MS: about 10 and 24 ms
"""Positions of the bounds from which latencies spread."""
_SPREAD = 10
"""Buckets that they spread over, each with half of what the one before has."""


@dataclass
class _Counted:
    ok: float = 0.0
    errors: float = 0.0
    latency: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))


@dataclass
class MadeUp:
    """Counts what a router would count.

    Attributes:
        requests: Requests of a scope between two looks; 0 means that nobody comes.
        errors: Revision to the share of its answers that are errors.
        slow: Revision to the share of its answers that are slow.
    """

    requests: int = 0
    errors: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    _total: defaultdict[tuple[str, str], _Counted] = field(
        default_factory=lambda: defaultdict(_Counted)
    )

    def look(self, routes: Mapping[str, wire.RoutesWanted]) -> tuple[RevisionCounters, ...]:
        """Return the counters after one more look's worth of requests."""
        found = []
        for scope, wanted in routes.items():
            for route in wanted.revisions:
                share = weight = wanted.weights.get(route.revision, 0)
                if wanted.mirror is not None and wanted.mirror.revision == route.revision:
                    share = max(weight, wanted.mirror.percent)
                self._count(scope, route.revision, self.requests * share / 100)
                found.append(self._counters(scope, route, weight))
        return tuple(found)

    def _count(self, scope: str, revision: str, many: float) -> None:
        counted = self._total[scope, revision]
        bad, slow = self.errors.get(revision, 0.0), self.slow.get(revision, 0.0)
        counted.errors += many * bad
        counted.ok += many * (1 - bad)
        for first, share in ((FAST, 1 - slow), (SLOW, slow)):
            for place in range(_SPREAD):
                counted.latency[first + place] += many * share / 2 ** (place + 1)

    def _counters(self, scope: str, route: wire.RevisionRoute, weight: int) -> RevisionCounters:
        counted = self._total[scope, route.revision]
        by_class = {"2xx": int(counted.ok), "5xx": int(counted.errors)}
        return RevisionCounters(
            scope=scope,
            revision=route.revision,
            release=route.release,
            weight=weight,
            requests=sum(by_class.values()),
            by_class=by_class,
            latency=tuple(
                (BOUNDS_MS[place], int(count))
                for place, count in sorted(counted.latency.items())
                if count >= 1
            ),
        )
