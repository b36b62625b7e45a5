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
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Show one deployment with its phases, steps and verdicts."""
    session = options.session(json, server, token, fingerprint)
    identifier = options.check_id(deployment)
    with session.client() as client:
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
    """Show the live split: weights, measured shares, errors and latencies per release."""
    session = options.session(json, server, token, fingerprint)
    _check_names(None, environment)
    with session.client() as client:
        name = options.project_of(client, project, environment)
        document = client.get(f"/environments/{name}/{environment}/traffic")
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.rendering import table, traffic_rows
    from turnout.wire.api import TrafficDocument

    for line in table(traffic_rows(understood(TrafficDocument, document))):
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
