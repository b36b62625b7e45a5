"""The newest quarter of an hour in memory, second by second, with who could not be asked."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from turnout.monitoring.differences import Source
from turnout.monitoring.keeping import RETENTION, Row

KEPT_S = RETENTION[1]


@dataclass(frozen=True, slots=True)
class Second:
    """One second of all hosts.

    Attributes:
        at: Seconds since 1970.
        asked: The hosts that should have answered.
        missing: Those of them that nothing is known of in this second.
        live: False for one that was read from the database, of which ``asked`` is not known.
        measures: Scope to its sources to their packed measures; who was idle is left out.
    """

    at: int
    asked: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    live: bool = True
    measures: Mapping[str, Mapping[Source, bytes]] = field(default_factory=dict)


class Recent:
    """Seconds in their order; safe between threads."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque()
        self._turn = threading.Lock()

    def fill(self, rows: Iterable[Row]) -> None:
        """Begin with what the database has, oldest first."""
        by_second: dict[int, dict[str, dict[Source, bytes]]] = {}
        for row in rows:
            of_scope = by_second.setdefault(row.at, {}).setdefault(row.source.scope, {})
            of_scope[row.source] = row.data
        with self._turn:
            self._seconds = deque(
                Second(at, live=False, measures=measures)
                for at, measures in sorted(by_second.items())
            )

    def add(self, second: Second) -> None:
        """Add the newest second; what is not older than it goes, for then a clock was set back."""
        with self._turn:
            while self._seconds and self._seconds[-1].at >= second.at:
                self._seconds.pop()
            self._seconds.append(second)
            while self._seconds[0].at < second.at - KEPT_S:
                self._seconds.popleft()

    def between(self, since: int, until: int) -> list[Second]:
        """Return the seconds in ``[since, until)``, oldest first."""
        with self._turn:
            found: list[Second] = []
            for second in reversed(self._seconds):
                if second.at < since:
                    break
                if second.at < until:
                    found.append(second)
        found.reverse()
        return found

    def newest(self) -> int | None:
        """Return the newest second's time, None without any."""
        with self._turn:
            return self._seconds[-1].at if self._seconds else None


def rows_of(seconds: Iterable[Second], scope: str | None = None) -> Iterator[Row]:
    """Yield every measure of *seconds*, of one scope if it is named, oldest first."""
    for second in seconds:
        chosen = second.measures if scope is None else {scope: second.measures.get(scope, {})}
        for measures in chosen.values():
            for source, data in measures.items():
                yield Row(source, second.at, data)
