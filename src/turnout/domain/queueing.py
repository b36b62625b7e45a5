"""Who is next: priority first, then the project that has least under way, then who came first.

Waiting raises the priority slowly, so that nobody starves behind a stream of urgent ones
("aging", Silberschatz et al., "Operating System Concepts", 5.3.4).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SECONDS_A_LEVEL = 300.0
"""Waiting this long is worth one level of priority."""


@dataclass(frozen=True)
class Waiting:
    """A deployment in the queue; ``waited`` is in seconds."""

    id: str
    project: str
    priority: int
    waited: float

    @property
    def level(self) -> int:
        """Its priority as raised by waiting."""
        return self.priority + int(self.waited / SECONDS_A_LEVEL)


def in_turn(waiting: Iterable[Waiting], running: Iterable[str]) -> Sequence[Waiting]:
    """Return *waiting* in the order in which they may run.

    Args:
        waiting: The queue, in the order of coming.
        running: The project of each deployment under way, one entry each.
    """
    busy = Counter(running)
    # Within a project the order is fixed; only the first of each competes with the others.
    lines: defaultdict[str, list[tuple[int, int, Waiting]]] = defaultdict(list)
    for place, one in enumerate(waiting):
        lines[one.project].append((-one.level, place, one))
    heads: list[tuple[int, int, int, str]] = []
    for project, line in lines.items():
        line.sort(key=lambda entry: entry[:2], reverse=True)
        heapq.heappush(heads, (line[-1][0], busy[project], line[-1][1], project))
    order = []
    while heads:
        project = heapq.heappop(heads)[3]
        line = lines[project]
        order.append(line.pop()[2])
        busy[project] += 1
        if line:
            heapq.heappush(heads, (line[-1][0], busy[project], line[-1][1], project))
    return order
