"""What routers counted and instances used over a time."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from turnout.wire.model import Report


class TrafficPoint(Report):
    """One stretch of time of one revision, all hosts together; latencies in milliseconds.

    Attributes:
        at: Its beginning.
        requests: Completed requests.
        failures: Requests that no instance answered.
        in_flight: The most that were under way at once at a look.
        weight: Percent of the environment's traffic at its end.
    """

    at: datetime
    requests: int = 0
    by_class: dict[str, int] = Field(default_factory=dict)
    error_rate: float | None = None
    failures: int = 0
    in_flight: int = 0
    weight: int = 0
    latency_ms: dict[str, float | None] = Field(default_factory=dict)


class TrafficLine(Report):
    """The line of one revision; stretches in which nothing happened have no point."""

    release: str
    revision: str
    points: tuple[TrafficPoint, ...] = ()


class InstanceUse(Report):
    """What one instance used of late.

    Attributes:
        cpu_percent: Of one processor.
        restarts: How often it was started anew in the time that is shown.
    """

    host: str
    release: str
    revision: str
    instance: int
    cpu_percent: float = 0.0
    memory_bytes: int = 0
    open_files: int = 0
    restarts: int = 0


class TrafficHistory(Report):
    """The traffic of an environment over a time.

    Attributes:
        resolution_s: Seconds that one point stands for.
        missed_s: Seconds in which a host could not be asked, as far as memory reaches; what it
            counted in them is in its next point.
    """

    project: str
    environment: str
    since: datetime
    until: datetime
    resolution_s: int
    lines: tuple[TrafficLine, ...] = ()
    instances: tuple[InstanceUse, ...] = ()
    missed_s: int = 0
