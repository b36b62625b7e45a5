"""What hosts say of themselves, as the documents that people read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from turnout.coordinator.fleet import host_state
from turnout.coordinator.standing import ScopeRecord
from turnout.wire import agent as wire
from turnout.wire.api import LogEntry, TrafficRow

Health = Literal["healthy", "degraded", "down", "unknown"]


def health(record: ScopeRecord, facts: dict[str, wire.HostFacts | None]) -> Health:
    """Return how well an environment is served, by what its hosts say; None is a silent host."""
    live = record.live
    if live is None or any(one is None for one in facts.values()):
        return "unknown"
    good = []
    for one in facts.values():
        if one is None:
            continue
        state = host_state(record.scope, one)
        if live.revision.static:
            up = live.revision.revision in state.sites and one.origin_alive
        else:
            running = state.instances.get(live.revision.revision, frozenset())
            up = len(running) >= live.revision.instances
        good.append(up and one.router_alive and bool(state.weights))
    if all(good):
        return "healthy"
    return "degraded" if any(good) else "down"


def traffic_row(host: str, one: wire.Traffic, total: int) -> TrafficRow:
    """Return one revision's part of the split of a host that counted *total* requests."""
    errors = one.by_class.get("5xx", 0)
    return TrafficRow(
        release=one.release,
        revision=one.revision,
        host=host,
        weight=one.weight,
        share=one.requests / total if total else None,
        requests=one.requests,
        by_class=one.by_class,
        error_rate=errors / one.requests if one.requests else None,
        failures=one.failures,
        in_flight=one.in_flight,
        latency_ms=one.latency_ms,
    )


def log_entry(host: str, line: wire.LogLine) -> LogEntry:
    """Return a line that an instance wrote, as people read it."""
    return LogEntry(
        at=datetime.fromtimestamp(line.at, UTC),
        host=host,
        source=f"instance {line.index} {line.stream}",
        text=line.text,
    )
