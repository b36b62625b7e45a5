"""The overview: environments and deployments turned into what the first page shows.

Pure: documents and the time in, rows out, so that it is tested without a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from turnout.domain.phases import Kind, phases_of
from turnout.wire.api import DeploymentDocument, EnvironmentDocument

Tone = Literal["good", "bad", "busy", "wait", "idle"]

_TONES: dict[str, Tone] = {
    "queued": "wait",
    "running": "busy",
    "waiting": "wait",
    "paused": "wait",
    "succeeded": "good",
    "failed": "bad",
    "rolled_back": "bad",
    "aborted": "idle",
    "rejected": "bad",
    "healthy": "good",
    "degraded": "wait",
    "down": "bad",
    "unknown": "idle",
}


@dataclass(frozen=True)
class Moment:
    """A time as people say it, with the exact one beside it."""

    text: str
    exact: str


@dataclass(frozen=True)
class UnderWay:
    """A deployment that moves an environment now."""

    id: str
    kind: str
    release: str
    status: str
    tone: Tone
    phase: str
    place: int
    """Which of the phases it is in, from 1; 0 before the first."""
    of: int
    started: Moment | None


@dataclass(frozen=True)
class EnvironmentRow:
    """One environment of a project."""

    name: str
    url: str
    host: str
    health: str
    tone: Tone
    live: str
    since: Moment | None
    previous: str
    warm: bool
    queued: int
    under_way: UnderWay | None


@dataclass(frozen=True)
class ProjectCard:
    """A project with its environments, production first."""

    name: str
    environments: tuple[EnvironmentRow, ...]


@dataclass(frozen=True)
class DeploymentRow:
    """One of the last deployments."""

    id: str
    kind: str
    project: str
    environment: str
    release: str
    status: str
    tone: Tone
    when: Moment
    took: str
    reason: str


def cards(
    environments: Iterable[EnvironmentDocument],
    deployments: Sequence[DeploymentDocument],
    now: datetime,
) -> tuple[ProjectCard, ...]:
    """Return a card for every project, by name.

    Args:
        environments: All of them.
        deployments: Must hold those under way.
        now: The time that "ago" is counted from.
    """
    known = {item.id: item for item in deployments}
    found: dict[str, list[EnvironmentRow]] = {}
    for item in sorted(environments, key=_order):
        found.setdefault(item.project, []).append(_row(item, known, now))
    return tuple(ProjectCard(name, tuple(found[name])) for name in sorted(found))


def rows(deployments: Iterable[DeploymentDocument], now: datetime) -> tuple[DeploymentRow, ...]:
    """Return the rows of the list of deployments, in the order given."""
    return tuple(
        DeploymentRow(
            id=item.id,
            kind=item.kind,
            project=item.project,
            environment=item.environment,
            release=item.release[:12],
            status=item.status.replace("_", " "),
            tone=_TONES[item.status],
            when=moment(item.created_at, now),
            took=_duration(item.duration_s),
            reason=item.reason,
        )
        for item in deployments
    )


def moment(at: datetime, now: datetime) -> Moment:
    """Return how long ago *at* was."""
    seconds = max(0.0, (now - at).total_seconds())
    exact = at.isoformat(timespec="seconds")
    for limit, size, unit in (
        (90, 1, "s"),
        (90 * 60, 60, "min"),
        (36 * 3600, 3600, "h"),
        (float("inf"), 86400, "d"),
    ):
        if seconds < limit:
            count = int(seconds // size)
            return Moment("just now" if count < 5 and unit == "s" else f"{count} {unit} ago", exact)
    raise AssertionError("the last limit is infinite")


def _order(item: EnvironmentDocument) -> tuple[bool, str]:
    return item.environment != "production", item.environment


def _row(
    item: EnvironmentDocument, known: dict[str, DeploymentDocument], now: datetime
) -> EnvironmentRow:
    return EnvironmentRow(
        name=item.environment,
        url=item.url if urlsplit(item.url).scheme in ("http", "https") else "",
        host=urlsplit(item.url).netloc,
        health=item.health,
        tone=_TONES[item.health] if item.live_release else "idle",
        live=(item.live_release or "")[:12],
        since=moment(item.live_since, now) if item.live_since else None,
        previous=(item.previous_release or "")[:12],
        warm=item.warm_until is not None and item.warm_until > now,
        queued=item.queued,
        under_way=_under_way(item, known, now),
    )


def _under_way(
    item: EnvironmentDocument, known: dict[str, DeploymentDocument], now: datetime
) -> UnderWay | None:
    if item.deployment is None:
        return None
    found = known.get(item.deployment)
    status = item.deployment_status or (found.status if found else "running")
    kind = found.kind if found else "deployment"
    phase = (found.phase if found else None) or ""
    phases = [known_phase.value for known_phase in phases_of(Kind(kind))]
    return UnderWay(
        id=item.deployment,
        kind=kind,
        release=found.release[:12] if found else "",
        status=status.replace("_", " "),
        tone=_TONES[status],
        phase=phase,
        place=phases.index(phase) + 1 if phase in phases else 0,
        of=len(phases),
        started=moment(found.started_at, now) if found and found.started_at else None,
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
