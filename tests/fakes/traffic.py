"""Made-up live traffic of a fake host: so many requests at each look, split by weight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.wire import agent as wire
from turnout.wire.statistics import RevisionCounters

FAST, SLOW = (10.0, 25.0)


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
    _total: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))

    def look(self, routes: Mapping[str, wire.RoutesWanted]) -> tuple[RevisionCounters, ...]:
        """Return the counters after one more look's worth of requests."""
        found = []
        for scope, wanted in routes.items():
            for route in wanted.revisions:
                weight = wanted.weights.get(route.revision, 0)
                if wanted.mirror is not None and wanted.mirror.revision == route.revision:
                    weight = max(weight, wanted.mirror.percent)
                key = (scope, route.revision)
                self._total[key] += self.requests * weight / 100
                found.append(self._counters(scope, route, weight))
        return tuple(found)

    def _counters(self, scope: str, route: wire.RevisionRoute, weight: int) -> RevisionCounters:
        total = int(self._total[scope, route.revision])
        errors = int(total * self.errors.get(route.revision, 0.0))
        slow = int(total * self.slow.get(route.revision, 0.0))
        latency = tuple(
            (bound, count) for bound, count in ((FAST, total - slow), (SLOW, slow)) if count
        )
        return RevisionCounters(
            scope=scope,
            revision=route.revision,
            release=route.release,
            weight=weight,
            requests=total,
            by_class={"2xx": total - errors, "5xx": errors},
            latency=latency,
        )
