"""What happened in an environment of late, from what was collected: no host is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.errors import InvalidInput
from turnout.coordinator.context import Context
from turnout.coordinator.standing import ScopeRecord
from turnout.coordinator.tables import deployments
from turnout.domain.phases import Kind
from turnout.domain.transitions import Status
from turnout.monitoring.keeping import RESOLUTIONS
from turnout.monitoring.measures import sum_usage
from turnout.monitoring.reading import Point, RevisionSeries
from turnout.monitoring.recent import Second
from turnout.monitoring.series import Series
from turnout.monitoring.ticks import second_of
from turnout.wire.traffic import InstanceUse, TrafficHistory, TrafficLine, TrafficPoint

PULSE_S = 300
PULSE_STEP_S = 5
"""Five minutes of five seconds each: sixty values, more than a sparkline has room for."""
TRAFFIC_S = 600
"""The time over which an environment's traffic is averaged for the choice of a strategy."""
LEAST_S = 30
"""With less than that nothing is said of the traffic: a server that has just started."""


def pulse(series: Series, scope: str) -> tuple[float, ...]:
    """Return requests a second of the last five minutes, oldest first; empty if not known."""
    until = math.floor(clock.now().timestamp()) // PULSE_STEP_S * PULSE_STEP_S
    since = until - PULSE_S
    seconds = series.recent.between(since, until)
    if not seconds:
        return ()
    found = [0] * (PULSE_S // PULSE_STEP_S)
    for second in seconds:
        found[(second.at - since) // PULSE_STEP_S] += _requests(second, scope)
    first = (seconds[0].at - since) // PULSE_STEP_S
    return tuple(count / PULSE_STEP_S for count in found[first:])


def requests_per_minute(series: Series, scope: str) -> float | None:
    """Return the live requests a minute over all hosts of late; None if not known."""
    until = math.floor(clock.now().timestamp())
    seconds = series.recent.between(until - TRAFFIC_S, until)
    if not seconds or until - seconds[0].at < LEAST_S:
        return None
    total = sum(_requests(second, scope) for second in seconds)
    return 60.0 * total / (until - seconds[0].at)


@dataclass(frozen=True)
class Experience:
    """What an environment has seen so far: requests a minute (None: not known), successes."""

    requests_per_minute: float | None
    successes: int


def experience(ctx: Context, record: ScopeRecord) -> Experience:
    """Return what the choice of a strategy wants to know of an environment.  Blocks."""
    query = (
        sa.select(sa.func.count())
        .select_from(deployments)
        .where(
            (deployments.c.project == record.project)
            & (deployments.c.environment == record.environment)
            & (deployments.c.kind == Kind.DEPLOYMENT.value)
            & (deployments.c.status == Status.SUCCEEDED.value)
        )
    )
    with ctx.ledger.database.reading() as connection:
        successes = int(connection.execute(query).scalar_one())
    return Experience(requests_per_minute(ctx.series, record.scope), successes)


def traffic_history(
    series: Series,
    project: str,
    environment: str,
    since: datetime,
    until: datetime | None,
    resolution: int | None,
) -> TrafficHistory:
    """Return the lines of an environment.  Blocks for what memory does not hold.

    Args:
        until: The end; now if absent.
        resolution: Least seconds of one point; what suits the time if absent.

    Raises:
        InvalidInput: The time or the resolution is none.
    """
    if until is not None and until <= since:
        raise InvalidInput("The time ends before it begins", subject=until.isoformat())
    if resolution is not None and not 1 <= resolution <= max(RESOLUTIONS):
        raise InvalidInput(
            f"A point stands for 1 to {max(RESOLUTIONS)} seconds", subject=str(resolution)
        )
    end = until.timestamp() if until is not None else None
    found = series.read(f"{project}/{environment}", since.timestamp(), end, resolution)
    return TrafficHistory(
        project=project,
        environment=environment,
        since=datetime.fromtimestamp(found.since, UTC),
        until=datetime.fromtimestamp(found.until, UTC),
        resolution_s=found.resolution,
        lines=tuple(
            TrafficLine(
                release=one.release,
                revision=one.revision,
                points=tuple(_point(point) for point in one.points),
            )
            for one in found.revisions
        ),
        instances=tuple(use for one in found.revisions for use in _uses(one)),
        missed_s=len(found.missed),
    )


def _point(point: Point) -> TrafficPoint:
    return TrafficPoint(
        at=datetime.fromtimestamp(point.at, UTC),
        requests=point.counts.requests,
        by_class=point.by_class,
        error_rate=point.error_rate,
        failures=point.counts.failures,
        in_flight=point.counts.in_flight,
        weight=point.counts.weight,
        latency_ms=point.latency_ms,
    )


def _uses(one: RevisionSeries) -> Sequence[InstanceUse]:
    found = []
    for line in one.instances:
        newest = line.points[-1].usage
        found.append(
            InstanceUse(
                host=line.host,
                release=one.release,
                revision=one.revision,
                instance=line.index,
                cpu_percent=round(newest.cpu_percent, 2),
                memory_bytes=newest.memory_bytes,
                open_files=newest.open_files,
                restarts=sum_usage(point.usage for point in line.points).restarts,
            )
        )
    return found


def _requests(second: Second, scope: str) -> int:
    if scope not in second.measures:
        return 0
    return sum(arm.requests for arm in second_of(second, scope).arms.values())
