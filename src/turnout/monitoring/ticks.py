"""Ticks: each second of a scope as it ends, for who judges live traffic."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from turnout.monitoring.analysis.ticks import ArmCounts, Tick
from turnout.monitoring.histograms import Latency, count_of, cumulative
from turnout.monitoring.measures import Counts, sum_hosts
from turnout.monitoring.reading import counts
from turnout.monitoring.recent import Second
from turnout.monitoring.series import Series


@dataclass(frozen=True)
class Arm:
    """What one revision counted in a second, all hosts together; latency in milliseconds."""

    requests: int = 0
    errors: int = 0
    latency: Latency = ()


@dataclass(frozen=True)
class SecondOf:
    """One second of one scope.

    Attributes:
        at: Its beginning, seconds since 1970.
        available: Whether every host that matters was asked and counted all of it.  If not,
            what *arms* hold is the part that is known, and what the silent hosts counted comes
            with the second in which they answer again.
        seconds: How much time the counts cover at most: more than 1 after a silence.
        arms: Revision to what it counted; one without any requests is left out.
        missing: The hosts that could not be asked.
    """

    at: int
    available: bool
    seconds: float = 1.0
    arms: Mapping[str, Arm] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def arm(self, revision: str) -> Arm:
        """Return what a revision counted, nothing if it counted nothing."""
        return self.arms.get(revision, Arm())

    def tick(
        self,
        candidate: str,
        control: str | None,
        *,
        share: float | None = None,
        values: Mapping[str, float | None] | None = None,
    ) -> Tick:
        """Return the second as the judge takes it.

        Args:
            candidate: The revision on trial.
            control: The one that it is compared with, if any.
            share: The candidate's share, of both, that was asked of the router.
            values: Measures from elsewhere, as :class:`Tick` has them.
        """
        return Tick(
            at=self.at + 1.0,
            candidate=_counted(self.arm(candidate)),
            control=None if control is None else _counted(self.arm(control)),
            share=share,
            available=self.available,
            values=values or {},
        )


def second_of(second: Second, scope: str, hosts: Iterable[str] | None = None) -> SecondOf:
    """Return one scope's part of a second.

    Args:
        second: All of it.
        scope: Whose part.
        hosts: Those that serve the scope; all that were asked if absent.
    """
    matter = second.asked if hosts is None else frozenset(hosts)
    # A host that nobody asked is as silent as one that did not answer.
    missing = sorted((matter & second.missing) | (matter - second.asked))
    found: defaultdict[str, list[Counts]] = defaultdict(list)
    for source, counted in counts(second.measures.get(scope, {})):
        if source.host in matter:
            found[source.revision].append(counted)
    arms: dict[str, Arm] = {}
    seconds = 1.0
    for revision, parts in found.items():
        total = sum_hosts(parts)
        seconds = max(seconds, total.seconds)
        requests = max(total.requests, total.errors)
        if requests:
            arms[revision] = Arm(requests, total.errors, total.latency)
    return SecondOf(second.at, not missing, seconds, arms, tuple(missing))


class Ticks:
    """Hands out the seconds of scopes as they end.

    Args:
        series: Where they come from.
    """

    def __init__(self, series: Series) -> None:
        self._series = series

    async def follow(
        self, scope: str, hosts: Iterable[str] | None = None, after: int | None = None
    ) -> AsyncIterator[SecondOf]:
        """Yield each second of a scope, oldest first, for ever; none twice and none left out.

        Seconds in which no server collected anything, as between two starts, do not come at
        all: their place in time stays empty.

        Args:
            scope: Whose seconds.
            hosts: Those that serve it; all if absent.
            after: Go on behind this second, as far back as memory reaches; None: from now on.
        """
        wanted = None if hosts is None else frozenset(hosts)
        newest = self._series.recent.newest()
        last = after if after is not None else (newest if newest is not None else 0)
        loop = asyncio.get_running_loop()
        bell = asyncio.Event()

        def ring() -> None:
            loop.call_soon_threadsafe(bell.set)

        leave = self._series.on_second(ring)
        try:
            while True:
                bell.clear()
                newest = self._series.recent.newest()
                if newest is not None and newest < last - _SET_BACK_S:
                    last = newest - 1
                for second in self._series.recent.between(last + 1, (newest or 0) + 1):
                    if second.live:
                        yield second_of(second, scope, wanted)
                    last = second.at
                await bell.wait()
        finally:
            leave()


def _counted(arm: Arm) -> ArmCounts:
    return ArmCounts(arm.requests, arm.errors, count_of(arm.latency), cumulative(arm.latency))


_SET_BACK_S = 5
"""A newest second that is so much older than the last one tells of a clock that was set back."""
