"""The live split of an environment as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from turnout.cli.rendering import Row, table
from turnout.wire.api import TrafficDocument, TrafficRow
from turnout.wire.traffic import TrafficHistory, TrafficLine

_QUANTILES = ("p50", "p90", "p99")
_CLASSES = ("2xx", "3xx", "4xx", "5xx")


def traffic_lines(traffic: TrafficDocument, history: TrafficHistory | None) -> Iterator[str]:
    """Yield the live split, and how each release fared in the last minute.

    Args:
        traffic: What the routers counted since they started.
        history: What was collected of the last minute, if the server knows it.
    """
    if not traffic.rows:
        yield f"{traffic.project}/{traffic.environment} has no release in its routers."
        return
    yield "since the routers started:"
    yield from table(_rows(traffic.rows))
    if history is not None and any(line.points for line in history.lines):
        seconds = max(1.0, (history.until - history.since).total_seconds())
        yield ""
        yield f"in the last {seconds:.0f} s, all hosts together:"
        yield from table(_recent_rows(history, seconds))


def _rows(rows: Sequence[TrafficRow]) -> Iterator[Row]:
    yield (
        *("RELEASE", "HOST", "WEIGHT", "SHARE", "REQUESTS"),
        *(name.upper() for name in _CLASSES),
        *("UNANSWERED", "ERRORS", "IN FLIGHT"),
        *(name.upper() for name in _QUANTILES),
    )
    for row in rows:
        yield (
            row.release[:12],
            row.host,
            f"{row.weight} %",
            "-" if row.share is None else f"{row.share:.1%}",
            str(row.requests),
            *(str(row.by_class.get(name, 0)) for name in _CLASSES),
            str(row.failures),
            "-" if row.error_rate is None else f"{row.error_rate:.2%}",
            str(row.in_flight),
            *(_latency(row.latency_ms, name) for name in _QUANTILES),
        )


def _recent_rows(history: TrafficHistory, seconds: float) -> Iterator[Row]:
    yield ("RELEASE", "WEIGHT", "SHARE", "REQUESTS/S", "ERRORS", "WORST P99")
    total = sum(point.requests for line in history.lines for point in line.points)
    for line in history.lines:
        if not line.points:
            continue
        requests = sum(point.requests for point in line.points)
        yield (
            line.release[:12],
            f"{line.points[-1].weight} %",
            f"{requests / total:.1%}" if total else "-",
            f"{requests / seconds:.1f}",
            _errors(line, requests),
            _worst(line),
        )


def _errors(line: TrafficLine, requests: int) -> str:
    if not requests:
        return "-"
    errors = sum((point.error_rate or 0.0) * point.requests for point in line.points)
    return f"{errors / requests:.2%}"


def _worst(line: TrafficLine) -> str:
    found = [value for point in line.points if (value := point.latency_ms.get("p99")) is not None]
    return f"{max(found):.1f} ms" if found else "-"


def _latency(latencies: Mapping[str, float], name: str) -> str:
    return f"{latencies[name]:.1f} ms" if name in latencies else "-"
