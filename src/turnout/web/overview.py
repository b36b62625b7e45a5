"""The overview: environments and deployments turned into what the first page shows.

Pure: documents and the time in, rows out, so that it is tested without a browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from turnout.domain.phases import Kind, phases_of
from turnout.web.charts.sparks import Spark, spark
from turnout.web.words import Moment, Tone, duration, moment, say, short, tone, web_address
from turnout.wire.api import DeploymentDetail, DeploymentDocument, EnvironmentDocument

Scope = tuple[str, str]


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
    weight: int | None
    """The candidate's percent of the traffic, while there is a split."""
    waits: str
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
    made_live: str
    """The deployment that made it live, if it is known."""
    by: str
    message: str
    previous: str
    warm: bool
    under_way: UnderWay | None
    queued: int
    queue: tuple[DeploymentRow, ...]
    """Those of the queue that are known, first come first."""
    spark: Spark | None


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
    by: str
    message: str
    reason: str


def cards(
    environments: Iterable[EnvironmentDocument],
    deployments: Sequence[DeploymentDocument],
    now: datetime,
    *,
    details: Mapping[str, DeploymentDetail] | None = None,
    pulses: Mapping[Scope, Sequence[float]] | None = None,
) -> tuple[ProjectCard, ...]:
    """Return a card for every project, by name.

    Args:
        environments: All of them.
        deployments: Newest first; must hold those under way.
        now: The time that "ago" is counted from.
        details: Of deployments under way, as far as they could be read.
        pulses: Requests a second of the last minutes, where known.
    """
    found: dict[str, list[EnvironmentRow]] = {}
    for item in sorted(environments, key=_order):
        mine = [one for one in deployments if _scope(one) == _scope(item)]
        detail = (details or {}).get(item.deployment or "")
        rates = (pulses or {}).get(_scope(item), ())
        found.setdefault(item.project, []).append(_row(item, mine, now, detail, rates))
    return tuple(ProjectCard(name, tuple(found[name])) for name in sorted(found))


def rows(deployments: Iterable[DeploymentDocument], now: datetime) -> tuple[DeploymentRow, ...]:
    """Return the rows of the list of deployments, in the order given."""
    return tuple(
        DeploymentRow(
            id=item.id,
            kind=item.kind,
            project=item.project,
            environment=item.environment,
            release=short(item.release),
            status=say(item.status),
            tone=tone(item.status),
            when=moment(item.created_at, now),
            took=duration(item.duration_s),
            by=item.requested_by,
            message=item.message,
            reason=item.reason,
        )
        for item in deployments
    )


def _scope(item: EnvironmentDocument | DeploymentDocument) -> Scope:
    return item.project, item.environment


def _order(item: EnvironmentDocument) -> tuple[bool, str]:
    return item.environment != "production", item.environment


def _row(
    item: EnvironmentDocument,
    mine: Sequence[DeploymentDocument],
    now: datetime,
    detail: DeploymentDetail | None,
    rates: Sequence[float],
) -> EnvironmentRow:
    maker = next(
        (one for one in mine if one.status == "succeeded" and one.release == item.live_release),
        None,
    )
    waiting = [one for one in reversed(mine) if one.status == "queued"]
    return EnvironmentRow(
        name=item.environment,
        url=web_address(item.url),
        host=urlsplit(item.url).netloc,
        health=item.health,
        tone=tone(item.health) if item.live_release else "idle",
        live=short(item.live_release),
        since=moment(item.live_since, now) if item.live_since else None,
        made_live=maker.id if maker else "",
        by=maker.requested_by if maker else "",
        message=maker.message if maker else "",
        previous=short(item.previous_release),
        warm=item.warm_until is not None and item.warm_until > now,
        under_way=_under_way(item, mine, now, detail),
        queued=item.queued,
        queue=rows(waiting, now),
        spark=spark(rates),
    )


def _under_way(
    item: EnvironmentDocument,
    mine: Sequence[DeploymentDocument],
    now: datetime,
    detail: DeploymentDetail | None,
) -> UnderWay | None:
    if item.deployment is None:
        return None
    listed = next((one for one in mine if one.id == item.deployment), None)
    found = detail or listed
    status = item.deployment_status or (found.status if found else "running")
    kind = found.kind if found else "deployment"
    phase = (found.phase if found else None) or ""
    phases = [known_phase.value for known_phase in phases_of(Kind(kind))]
    waits = detail.waiting_for if detail else None
    return UnderWay(
        id=item.deployment,
        kind=kind,
        release=short(found.release) if found else "",
        status=say(status),
        tone=tone(status),
        phase=phase.replace(".", ": "),
        place=phases.index(phase) + 1 if phase in phases else 0,
        of=len(phases),
        weight=candidate_weight(detail) if detail else None,
        waits=waits.kind if waits else "",
        started=moment(found.started_at, now) if found and found.started_at else None,
    )


def candidate_weight(detail: DeploymentDetail) -> int | None:
    """Return the candidate's percent of the traffic; None while there is no split."""
    return next((part.weight for part in detail.split if part.role == "candidate"), None)
