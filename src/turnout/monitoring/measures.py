"""What one stretch of time held: counts of a revision on a host, use by an instance.

Both add up, so that seconds become minutes and hosts become one; both are written as a few
bytes, since there are many of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from turnout.monitoring.histograms import Latency, merged

CLASSES = ("2xx", "3xx", "4xx", "5xx")
_COUNTS, _USAGE = 1, 2
_PER_MS = 1000
"""Bounds are written as whole microseconds."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the router counted for a revision.

    Attributes:
        seconds: How much time the counts cover: more than the stretch's own where looks at
            the host failed and the next one brought it all.
        requests: Completed requests.
        classes: Of them by status class, in the order of :data:`CLASSES`.
        failures: Requests that no instance answered.
        in_flight: The most that were under way at once at a look.
        weight: Percent of the scope's traffic at the end.
        latency: How long they took.
    """

    seconds: float = 1.0
    requests: int = 0
    classes: tuple[int, int, int, int] = (0, 0, 0, 0)
    failures: int = 0
    in_flight: int = 0
    weight: int = 0
    latency: Latency = ()

    @property
    def idle(self) -> bool:
        """Whether nothing happened that is worth a place in the record."""
        return not (self.requests or self.failures or self.in_flight or any(self.classes))

    @property
    def errors(self) -> int:
        """Requests that ended in 5xx or without an answer.

        Envoy itself answers 503 where no instance does and counts that as 5xx too, so the two
        are not added: each failure would be two errors.
        """
        return max(self.classes[3], self.failures)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance used.

    Attributes:
        seconds: How much time ``cpu_s`` covers.
        cpu_s: Seconds of processor time.
        memory_bytes: The most resident memory at a look.
        open_files: The most open files at a look.
        restarts: How often it was started anew.
    """

    seconds: float = 1.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    open_files: int = 0
    restarts: int = 0

    @property
    def cpu_percent(self) -> float:
        """Percent of one processor."""
        return 100 * self.cpu_s / self.seconds if self.seconds else 0.0


Measure = Counts | Usage


def sum_counts(parts: Iterable[Counts]) -> Counts:
    """Return stretches of one source, in their order, as one."""
    parts = list(parts)
    return Counts(
        seconds=sum(part.seconds for part in parts),
        requests=sum(part.requests for part in parts),
        classes=_classes(parts),
        failures=sum(part.failures for part in parts),
        in_flight=max((part.in_flight for part in parts), default=0),
        weight=parts[-1].weight if parts else 0,
        latency=merged(part.latency for part in parts),
    )


def sum_hosts(parts: Iterable[Counts]) -> Counts:
    """Return one stretch of the same revision on several hosts as one."""
    parts = list(parts)
    return Counts(
        seconds=max((part.seconds for part in parts), default=0.0),
        requests=sum(part.requests for part in parts),
        classes=_classes(parts),
        failures=sum(part.failures for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        weight=max((part.weight for part in parts), default=0),
        latency=merged(part.latency for part in parts),
    )


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Return stretches of one instance as one."""
    parts = list(parts)
    return Usage(
        seconds=sum(part.seconds for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
        memory_bytes=max((part.memory_bytes for part in parts), default=0),
        open_files=max((part.open_files for part in parts), default=0),
        restarts=sum(part.restarts for part in parts),
    )


def join(parts: list[Measure]) -> Measure:
    """Return stretches of one source, in their order, as one."""
    if isinstance(parts[0], Usage):
        return sum_usage(part for part in parts if isinstance(part, Usage))
    return sum_counts(part for part in parts if isinstance(part, Counts))


def pack(measure: Measure) -> bytes:
    """Return a measure as bytes: a kind, then numbers of seven bits a byte (LEB128)."""
    seconds = round(measure.seconds * 1000)
    if isinstance(measure, Usage):
        return _write(
            _USAGE,
            seconds,
            round(measure.cpu_s * 1_000_000),
            measure.memory_bytes,
            measure.open_files,
            measure.restarts,
        )
    # Zero stands for the infinite bound; the others are written as their distances.
    ladder: list[int] = []
    before = 0
    for bound, count in measure.latency:
        place = 0 if math.isinf(bound) else round(bound * _PER_MS)
        ladder += (0 if not place else place - before, count)
        before = place
    return _write(
        _COUNTS,
        seconds,
        measure.requests,
        *measure.classes,
        measure.failures,
        measure.in_flight,
        measure.weight,
        *ladder,
    )


def unpack(data: bytes) -> Measure:
    """Return what :func:`pack` wrote.

    Raises:
        ValueError: It is nothing of that kind.
    """
    kind, seconds, *rest = _read(data)
    if kind == _USAGE:
        cpu, memory, files, restarts = rest
        return Usage(seconds / 1000, cpu / 1_000_000, memory, files, restarts)
    if kind != _COUNTS:
        raise ValueError(f"a measure of an unknown kind: {kind}")
    requests, c2, c3, c4, c5, failures, in_flight, weight, *ladder = rest
    latency: list[tuple[float, int]] = []
    place = 0
    for distance, count in zip(ladder[::2], ladder[1::2], strict=True):
        place += distance
        latency.append((place / _PER_MS if distance else math.inf, count))
    return Counts(
        seconds / 1000, requests, (c2, c3, c4, c5), failures, in_flight, weight, tuple(latency)
    )


def _classes(parts: list[Counts]) -> tuple[int, int, int, int]:
    two, three, four, five = (sum(part.classes[i] for part in parts) for i in range(4))
    return two, three, four, five


def _write(*numbers: int) -> bytes:
    out = bytearray()
    for number in numbers:
        if number < 0:
            raise ValueError("a measure holds no negative number")
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)


def _read(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a measure that ends within a number")
