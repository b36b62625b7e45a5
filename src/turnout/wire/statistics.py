"""What a host counts: asked for every second, cumulative, so that nothing is lost between looks."""

from __future__ import annotations

from pydantic import Field

from turnout.wire.model import Report

BOUNDS_MS = tuple(round(1.2 ** (step / 2), 3) for step in range(122))
"""Upper bounds of the latency buckets that routers count into, from 1 ms to 62 s: a fifth more
is two bounds further, so that the usual margin of 20 % loses nothing to rounding."""


class RevisionCounters(Report):
    """What the router of a host counted for one revision since its counters began.

    Attributes:
        weight: Percent of the scope's traffic that it was last given.
        requests: Completed requests.
        by_class: Requests by status class, ``2xx`` to ``5xx``.
        failures: Requests that no instance answered.
        in_flight: Requests and streams under way now.
        latency: Pairs of a bucket's upper bound in milliseconds and how many requests fell
            into it (not cumulative over buckets); buckets without any are left out.
        ejections: Instances that the router took out for answering badly.
    """

    scope: str
    revision: str
    release: str
    weight: int = 0
    requests: int = 0
    by_class: dict[str, int] = Field(default_factory=dict)
    failures: int = 0
    in_flight: int = 0
    latency: tuple[tuple[float, int], ...] = ()
    ejections: int = 0


class InstanceUsage(Report):
    """What one instance uses, its children included.

    Attributes:
        cpu_s: Seconds of processor time since it started.
        memory_bytes: Resident memory.
        open_files: Open file descriptors.
        restarts: How often it was started anew after it had ended by itself.
        started_at: When it was started, seconds since 1970.
    """

    scope: str
    revision: str
    index: int
    cpu_s: float = 0.0
    memory_bytes: int = 0
    open_files: int = 0
    restarts: int = 0
    started_at: float | None = None


class HostStatistics(Report):
    """Everything that a host counted, at one moment.

    Attributes:
        at: When, seconds since 1970, by the host's clock.
        counting_since: Changes when the router's counters begin anew from zero.
    """

    host: str
    at: float
    counting_since: str
    revisions: tuple[RevisionCounters, ...] = ()
    instances: tuple[InstanceUsage, ...] = ()
