"""The commands ``status``, ``list``, ``show``, ``releases`` and ``traffic``: what is and was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from turnout.base.errors import NotFound
from turnout.base.ids import check_name
from turnout.cli import options, output

if TYPE_CHECKING:
    from pydantic import BaseModel

    from turnout.cli.client import Client
    from turnout.wire.traffic import TrafficHistory

    ItemT = TypeVar("ItemT", bound=BaseModel)

Row = Sequence[str]


class Status(StrEnum):
    """How a deployment may stand."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    REJECTED = "rejected"


OfStatus = Annotated[Status | None, typer.Option("--status", help="Only in this status.")]
Evidence = Annotated[
    bool, options.flag("--evidence", help="Show why it decided: verdict, charts, decisions.")
]
Points = Annotated[
    int,
    typer.Option(
        "--points", metavar="N", min=1, max=2000, help="At most so many points of evidence."
    ),
]
Wanted = Annotated[str | None, typer.Argument(metavar="ENV", help="Only this environment.")]


def status(
    environment: Wanted = None,
    project: options.Project = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Show what is live where, of every project unless one is named."""
    session = options.session(json, server, token, fingerprint)
    _check_names(project, environment)
    with session.client() as client:
        page = client.get("/environments", project=project)
    page = {**page, "items": _known(page["items"], project, environment)}
    from turnout.cli.rendering import environment_rows
    from turnout.wire.api import EnvironmentDocument

    nothing = "Nothing was deployed yet; `turnout deploy --to production` is the way."
    _print_page(page, EnvironmentDocument, environment_rows, nothing, session)


def list_(
    project: options.Project = None,
    environment: options.EnvironmentOption = None,
    status: OfStatus = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """List deployments and rollbacks, newest first."""
    session = options.session(json, server, token, fingerprint)
    _check_names(project, environment)
    with session.client() as client:
        page = client.get(
            "/deployments",
            project=project,
            environment=environment,
            status=None if status is None else status.value,
            cursor=cursor,
            limit=limit,
        )
        if not page["items"] and (project or environment):
            _known(client.get("/environments", project=project)["items"], project, environment)
    from turnout.cli.rendering import deployment_rows
    from turnout.wire.api import DeploymentDocument

    _print_page(page, DeploymentDocument, deployment_rows, "There are none.", session)


def show(
    deployment: options.DeploymentId,
    evidence: Evidence = False,
    points: Points = 300,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Show one deployment with its phases, steps and verdicts.

    With --evidence why it decided as it did: the verdict with its numbers, charts of what was
    counted, and every decision.
    """
    session = options.session(json, server, token, fingerprint)
    identifier = options.check_id(deployment)
    with session.client() as client:
        if evidence:
            _show_evidence(client, identifier, points, session)
            return
        document = client.get(f"/deployments/{identifier}")
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.rendering import detail_lines
    from turnout.wire.api import DeploymentDetail

    for line in detail_lines(understood(DeploymentDetail, document)):
        output.out(line)


def releases(
    project: options.Project = None,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """List the releases of a project, newest first."""
    session = options.session(json, server, token, fingerprint)
    with session.client() as client:
        name = options.project_of(client, project)
        page = client.get(f"/projects/{name}/releases", cursor=cursor, limit=limit)
    from turnout.cli.rendering import release_rows
    from turnout.wire.api import ReleaseDocument

    _print_page(page, ReleaseDocument, release_rows, f"{name} has none.", session)


def traffic(
    environment: options.EnvironmentName,
    project: options.Project = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Show the live split: weights, measured shares, rates, errors and latencies per release."""
    session = options.session(json, server, token, fingerprint)
    _check_names(None, environment)
    with session.client() as client:
        name = options.project_of(client, project, environment)
        path = f"/environments/{name}/{environment}/traffic"
        document = client.get(path)
        history = None if session.json else _history(client, path)
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.traffic import traffic_lines
    from turnout.wire.api import TrafficDocument

    for line in traffic_lines(understood(TrafficDocument, document), history):
        output.out(line)


def _history(client: Client, path: str) -> TrafficHistory | None:
    """Return the traffic of the last minute; None if the server does not know it."""
    from turnout.cli.client import understood
    from turnout.cli.moments import moment_or_ago
    from turnout.wire.traffic import TrafficHistory

    since = moment_or_ago("60s", "").isoformat()
    try:
        return understood(TrafficHistory, client.get(f"{path}/history", since=since))
    except NotFound:
        return None


def _show_evidence(client: Client, deployment: str, points: int, session: options.Session) -> None:
    document = client.get(f"/deployments/{deployment}/evidence", points=points)
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.evidence import evidence_lines
    from turnout.wire.api import DeploymentDetail
    from turnout.wire.evidence import EvidenceDocument

    detail = understood(DeploymentDetail, client.get(f"/deployments/{deployment}"))
    told = understood(EvidenceDocument, document)
    for line in evidence_lines(told, detail, output.width()):
        output.out(line)


def _print_page(
    page: dict[str, Any],
    model: type[ItemT],
    rows: Callable[[Sequence[ItemT]], Iterator[Row]],
    nothing: str,
    session: options.Session,
) -> None:
    if session.json:
        output.document(page)
        return
    from turnout.cli.client import understood
    from turnout.cli.rendering import table

    items = [understood(model, item) for item in page["items"]]
    if not items:
        output.err(nothing)
        return
    for line in table(rows(items)):
        output.out(line)
    if page.get("next_cursor"):
        output.err(f"There are more: --cursor {page['next_cursor']}")


def _known(
    items: list[dict[str, Any]], project: str | None, environment: str | None
) -> list[dict[str, Any]]:
    """Return those of the server's environments that are meant.

    Raises:
        NotFound: A project or an environment was named, and there is none of that name.
    """
    meant = [
        item
        for item in items
        if project in (None, item.get("project")) and environment in (None, item.get("environment"))
    ]
    if meant or not (project or environment):
        return meant
    raise NotFound(
        "There is no such environment" if environment else "There is no such project",
        subject="/".join(name for name in (project, environment) if name),
        next_step="`turnout status` shows all of them; `turnout deploy` makes a new one.",
    )


def _check_names(project: str | None, environment: str | None) -> None:
    if project is not None:
        check_name(project, "a project")
    if environment is not None:
        check_name(environment, "an environment")
