"""Batches of a rolling deployment: which instances start and which end, in which order.

The surge algorithm of Kubernetes' Deployment controller, over all hosts at once: never more
than ``wanted + max_surge`` instances, never fewer than ``wanted - max_unavailable`` ready
ones, and, beyond that algorithm, no host without a ready one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from turnout.base.errors import InvalidInput
from turnout.wire.rollout import Count, RollingSpec

Unit = tuple[str, int]
"""A host and the index of an instance there."""


@dataclass(frozen=True)
class Limits:
    """A rolling specification in numbers.

    Attributes:
        batch: Units that are exchanged at once, at least 1.
        surge: Instances more than wanted.
        unavailable: Instances fewer than wanted.
    """

    batch: int
    surge: int
    unavailable: int


@dataclass(frozen=True)
class Batch:
    """One batch: *up* starts and becomes ready, then *down* is drained and stopped."""

    up: tuple[Unit, ...]
    down: tuple[Unit, ...]


def limits(spec: RollingSpec, wanted: int, a_host: int, subject: str) -> Limits:
    """Return *spec* in numbers.

    Percents of the batch and the surge are rounded up, of the unavailable down, so that
    rounding never takes capacity.

    Args:
        spec: What the project asks for.
        wanted: Units in all.
        a_host: Instances on each host.
        subject: The scope, for errors.

    Raises:
        InvalidInput: Nothing could ever move, or a number makes no sense.
    """
    batch = count(spec.batch, wanted, up=True)
    surge = count(spec.max_surge, wanted, up=True)
    unavailable = count(spec.max_unavailable, wanted, up=False)
    if batch < 1:
        raise InvalidInput(
            "A batch of a rolling deployment holds at least one unit",
            subject=subject,
            why=f"batch = {spec.batch!r} of {wanted} is none",
            next_step="Set 'batch' to 1 or more.",
        )
    if surge == 0 and unavailable == 0:
        raise InvalidInput(
            "A rolling deployment could not move anything",
            subject=subject,
            why=f"max_surge = {spec.max_surge!r} and max_unavailable = {spec.max_unavailable!r}"
            f" of {wanted} are both 0: nothing may start and nothing may stop",
            next_step="Allow one instance more (max_surge = 1) or one less (max_unavailable = 1).",
        )
    if a_host == 1:
        # The only instance of a host is never stopped before another is ready there.
        surge = max(surge, 1)
    return Limits(batch, surge, unavailable)


def count(value: Count, whole: int, *, up: bool) -> int:
    """Return a count, of which percents are taken of *whole* and rounded *up* or down."""
    if isinstance(value, int):
        return value
    percent = int(value.removesuffix("%"))
    return -(-percent * whole // 100) if up else percent * whole // 100


def batches(
    old: Mapping[str, frozenset[int]],
    warm: Mapping[str, frozenset[int]],
    a_host: int,
    bounds: Limits,
    order: Literal["host", "spread"],
) -> list[Batch]:
    """Return the batches that replace *old* instances by *a_host* new ones on every host.

    Args:
        old: Host to the indexes of its running old instances; the hosts are in their order.
        warm: Host to the indexes of new instances that run already.
        a_host: New instances on each host, at least 1.
        bounds: What must hold all the while.
        order: One host after another, or each batch over as many hosts as it can.
    """
    rolling = _Rolling(
        {host: sorted(indexes) for host, indexes in old.items()},
        {host: set() for host in old},
        {host: set(warm.get(host, ())) & set(range(a_host)) for host in old},
        a_host,
        bounds,
        order,
    )
    found = []
    while not rolling.done():
        found.append(Batch(tuple(rolling.up()), tuple(rolling.down())))
    return found


@dataclass
class _Rolling:
    """Where a simulated rolling deployment stands."""

    old: dict[str, list[int]]
    new: dict[str, set[int]]
    warm: dict[str, set[int]]
    a_host: int
    bounds: Limits
    order: Literal["host", "spread"]

    def done(self) -> bool:
        return all(not self.old[host] and len(self.new[host]) == self.a_host for host in self.old)

    def up(self) -> list[Unit]:
        """Take new instances into service, as many as the batch and the ceiling allow."""
        wanted = self.a_host * len(self.old)
        idle = sum(len(self.warm[host] - self.new[host]) for host in self.old)
        room = wanted + self.bounds.surge - self._serving() - idle
        taken: list[Unit] = []
        while len(taken) < self.bounds.batch:
            unit = self._next_up(room > 0)
            if unit is None:
                break
            host, index = unit
            if index not in self.warm[host]:
                room -= 1
            self.new[host].add(index)
            taken.append(unit)
        return taken

    def down(self) -> list[Unit]:
        """End old instances, as many as the batch and the floor allow."""
        floor = self.a_host * len(self.old) - self.bounds.unavailable
        ended: list[Unit] = []
        while len(ended) < self.bounds.batch and self._serving() > floor:
            hosts = [
                host
                for host in self.old
                if self.old[host] and len(self.old[host]) + len(self.new[host]) > 1
            ]
            if not hosts:
                break
            host = hosts[0]
            if self.order == "spread":
                host = max(hosts, key=lambda one: len(self.old[one]) + len(self.new[one]))
            ended.append((host, self.old[host].pop(0)))
        return ended

    def _serving(self) -> int:
        return sum(len(self.old[host]) + len(self.new[host]) for host in self.old)

    def _next_up(self, room: bool) -> Unit | None:
        hosts: Sequence[str] = list(self.old)
        if self.order == "spread":
            hosts = sorted(hosts, key=lambda one: len(self.new[one]))
        for host in hosts:
            missing = [index for index in range(self.a_host) if index not in self.new[host]]
            for index in sorted(missing, key=lambda one: (one not in self.warm[host], one)):
                if index in self.warm[host] or room:
                    return host, index
        return None
