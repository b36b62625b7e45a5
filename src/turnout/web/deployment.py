"""The deployment page: a deployment's documents turned into what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from turnout.domain.transitions import ENDED, Status
from turnout.web.actions import Action, actions
from turnout.web.charts.sparks import Segment, segments
from turnout.web.overview import candidate_weight
from turnout.web.progress import PhaseView, phases
from turnout.web.words import Moment, Tone, duration, moment, say, short, tone, web_address
from turnout.wire.api import (
    DeploymentDetail,
    EnvironmentDocument,
    LogEntry,
    WaitingFor,
)

_TITLES = {
    "hold": "Holding",
    "approval": "Waiting for an approval",
    "gate": "Waiting at a gate",
    "window": "Waiting for its time window",
    "frozen": "Frozen: it needs a decision",
}


@dataclass(frozen=True)
class Waiting:
    """What it waits for, and the ways out."""

    kind: str
    title: str
    name: str
    since: Moment
    until: Moment | None
    reason: str
    tone: Tone
    ways_out: tuple[Action, ...]


@dataclass(frozen=True)
class DeploymentView:
    """Everything that the page shows of a deployment."""

    id: str
    kind: str
    project: str
    environment: str
    status: str
    tone: Tone
    under_way: bool
    release: str
    previous: str
    strategy: str
    priority: str
    by: str
    message: str
    created: Moment
    took: str
    url: str
    urls: tuple[str, ...]
    release_url: str
    phase: str
    reason: str
    next_step: str
    waiting: Waiting | None
    weight: int | None
    split: tuple[Segment, ...]
    phases: tuple[PhaseView, ...]
    planned: int
    no_return_at: int | None
    digest: str
    actions: tuple[Action, ...]
    """Those that are not among the ways out of the wait."""


@dataclass(frozen=True)
class LogLine:
    """One log line; its key stays the same when others come before it."""

    key: str
    at: str
    exact: str
    source: str
    text: str


def view(
    detail: DeploymentDetail, environment: EnvironmentDocument | None, now: datetime
) -> DeploymentView:
    """Return a deployment as the page shows it.

    Args:
        detail: The deployment.
        environment: Where it goes, if that could be read.
        now: The time that "ago" is counted from.
    """
    possible = actions(detail, environment)
    ways = detail.waiting_for.ways_out if detail.waiting_for else ()
    ways_out = tuple(one for one in possible if one.verb in ways and not one.why_not)
    next_step = str((detail.problem or {}).get("next_step", ""))
    return DeploymentView(
        id=detail.id,
        kind="Rehearsal" if detail.drill else detail.kind.capitalize(),
        project=detail.project,
        environment=detail.environment,
        status=say(detail.status),
        tone=tone(detail.status),
        under_way=Status(detail.status) not in ENDED,
        release=short(detail.release),
        previous=short(detail.previous_release),
        strategy=detail.strategy,
        priority=detail.priority if detail.priority != "normal" else "",
        by=detail.requested_by,
        message=detail.message,
        created=moment(detail.created_at, now),
        took=duration(detail.duration_s),
        url=web_address(detail.url),
        urls=tuple(url for url in map(web_address, detail.urls) if url),
        release_url=web_address(detail.release_url),
        phase=(detail.phase or "").replace(".", ": "),
        reason=detail.reason,
        # A reason often ends with it already.
        next_step="" if next_step in detail.reason else next_step,
        waiting=_waiting(detail.waiting_for, ways_out, now) if detail.waiting_for else None,
        weight=candidate_weight(detail),
        split=segments(detail.split),
        phases=phases(detail, now),
        planned=len(detail.steps),
        no_return_at=detail.no_return_at + 1 if detail.no_return_at is not None else None,
        digest=detail.plan_digest,
        actions=tuple(one for one in possible if one not in ways_out),
    )


def log_lines(entries: Sequence[LogEntry]) -> tuple[LogLine, ...]:
    """Return log lines with keys that tell them apart, oldest first."""
    seen: dict[str, int] = {}
    lines = []
    for entry in entries:
        told = f"{entry.at.timestamp()}|{entry.host}|{entry.source}|{entry.text}".encode(
            errors="replace"
        )
        name = blake2b(told, digest_size=8).hexdigest()
        seen[name] = seen.get(name, 0) + 1
        lines.append(
            LogLine(
                key=f"log-{name}-{seen[name]}",
                at=entry.at.strftime("%H:%M:%S.%f")[:-3],
                exact=entry.at.isoformat(timespec="milliseconds"),
                source=f"{entry.host} {entry.source}".strip(),
                text=entry.text,
            )
        )
    return tuple(lines)


def _waiting(waiting: WaitingFor, ways_out: tuple[Action, ...], now: datetime) -> Waiting:
    return Waiting(
        kind=waiting.kind,
        title=_TITLES[waiting.kind],
        name=waiting.name,
        since=moment(waiting.since, now),
        until=moment(waiting.until, now) if waiting.until else None,
        reason=waiting.reason,
        tone="bad" if waiting.kind == "frozen" else "wait",
        ways_out=ways_out,
    )
