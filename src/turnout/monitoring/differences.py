"""From what a host counted to what happened between two looks at it: a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.monitoring.histograms import merged, risen
from turnout.monitoring.measures import CLASSES, Counts, Usage
from turnout.wire.statistics import HostStatistics, InstanceUsage, RevisionCounters

ROUTER = -1
"""The index of a source that is not an instance: the router's counts of the revision."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Whose measures they are."""

    scope: str
    revision: str
    host: str
    index: int = ROUTER
    release: str = field(default="", compare=False)
    """What the revision is of; it says nothing of who the source is."""


@dataclass(frozen=True)
class Between:
    """What happened between two looks at a host.

    Attributes:
        seconds: How long that was; 0 at the first look, which counts nothing: what the host
            has counted by then happened at nobody knows what time.
    """

    seconds: float
    counts: Mapping[Source, Counts] = field(default_factory=dict)
    usage: Mapping[Source, Usage] = field(default_factory=dict)


def between(before: HostStatistics | None, now: HostStatistics) -> Between:
    """Return what a host's counters say happened since the look before.

    Counters that began anew (another ``counting_since``, or one that fell) count from zero.  A
    revision that was not there before is new, so all that it has counted is new as well.

    Args:
        before: The look before; None at the first.
        now: The look now.
    """
    if before is None or now.at <= before.at:
        # A clock that was set back says nothing of how long it was: as at a first look.
        return Between(0.0)
    seconds = now.at - before.at
    same = before.counting_since == now.counting_since
    known = {(old.scope, old.revision): old for old in before.revisions} if same else {}
    releases = {(one.scope, one.revision): one.release for one in now.revisions}
    used = {(old.scope, old.revision, old.index): old for old in before.instances}
    return Between(
        seconds,
        {
            Source(new.scope, new.revision, now.host, ROUTER, new.release): _counts(
                known.get((new.scope, new.revision)), new, seconds
            )
            for new in now.revisions
        },
        {
            Source(
                new.scope,
                new.revision,
                now.host,
                new.index,
                releases.get((new.scope, new.revision), ""),
            ): _usage(used.get((new.scope, new.revision, new.index)), new, now.at, seconds)
            for new in now.instances
        },
    )


def _counts(old: RevisionCounters | None, new: RevisionCounters, seconds: float) -> Counts:
    latency, grew = risen(new.latency, old.latency) if old else (merged([new.latency]), True)
    if old is not None and not (grew and _grew(old, new)):
        old, latency = None, merged([new.latency])
    classes = [
        new.by_class.get(name, 0) - (old.by_class.get(name, 0) if old else 0) for name in CLASSES
    ]
    return Counts(
        seconds=seconds,
        requests=new.requests - (old.requests if old else 0),
        classes=(classes[0], classes[1], classes[2], classes[3]),
        # Envoy's count of them is a difference of two counters and may step back by itself.
        failures=max(0, new.failures - (old.failures if old else 0)),
        in_flight=max(0, new.in_flight),
        weight=max(0, new.weight),
        latency=latency,
    )


def _grew(old: RevisionCounters, new: RevisionCounters) -> bool:
    return new.requests >= old.requests and all(
        new.by_class.get(name, 0) >= count for name, count in old.by_class.items()
    )


def _usage(old: InstanceUsage | None, new: InstanceUsage, at: float, seconds: float) -> Usage:
    if old is None or old.started_at != new.started_at or new.cpu_s < old.cpu_s:
        # Another process, whose time began between the looks.
        born = new.started_at if new.started_at is not None else at - seconds
        cpu, restarts = new.cpu_s, new.restarts - (old.restarts if old else 0)
        if at - born > seconds and old is None:
            cpu = 0.0  # seen for the first time, but older: its past is not of this stretch
            restarts = 0
    else:
        cpu, restarts = new.cpu_s - old.cpu_s, new.restarts - old.restarts
    return Usage(
        seconds=seconds,
        cpu_s=max(0.0, cpu),
        memory_bytes=max(0, new.memory_bytes),
        open_files=max(0, new.open_files),
        restarts=max(0, restarts),
    )
