"""The command ``rollback``: an environment on its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from turnout.base.errors import InvalidInput
from turnout.base.ids import check_name
from turnout.cli import options, output

if TYPE_CHECKING:
    from turnout.wire.api import RollbackRequest

Release = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="RELEASE", help="At least 6 digits of a kept one; else the one before."
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="WHEN", help="To what was live then, such as 2026-11-20T14:00."),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="PART",
        help="Only that part, configuration or code; the other stays as it is live now.",
    ),
]
Drill = Annotated[
    bool,
    options.flag("--drill", help="Rehearse it without live traffic, and change nothing."),
]
Force = Annotated[
    bool,
    options.flag("--force", help="Also past something that cannot be taken back."),
]
PlanOnly = Annotated[bool, options.flag("--plan", help="Print the steps and run none.")]
NoWait = Annotated[bool, options.flag("--no-wait", help="Do not follow it to its end.")]


def rollback(
    environment: options.EnvironmentName,
    project: options.Project = None,
    to: Release = None,
    at: At = None,
    only: Only = None,
    drill: Drill = False,
    force: Force = False,
    reason: options.Reason = "",
    plan: PlanOnly = False,
    no_wait: NoWait = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Go back to the release before, or to RELEASE; a deployment under way is aborted.

    With --drill nothing is aborted and nothing changes: it is rehearsed and measured.
    """
    from turnout.cli.following import see_through, show
    from turnout.cli.progress import open_progress

    session = options.session(json, server, token, fingerprint)
    if to is not None and at is not None:
        raise InvalidInput(
            "A rollback goes to a release or to a moment, not to both",
            next_step="Leave out --to or --at.",
        )
    with session.client() as client:
        name = options.project_of(client, project, environment)
        request = _request(
            name, environment, to=to, at=at, only=only, drill=drill, force=force, reason=reason
        )
        if plan:
            _print_plan(client.post("/rollbacks/plan", request), as_json=session.json)
            return
        started = client.post("/rollbacks", request)
        if no_wait:
            show(started, as_json=session.json)
            return
        code = see_through(client, started, open_progress(), as_json=session.json)
    raise typer.Exit(code)


def _request(
    project: str,
    environment: str,
    *,
    to: str | None,
    at: str | None,
    only: str | None,
    drill: bool,
    force: bool,
    reason: str,
) -> RollbackRequest:
    from turnout.cli.moments import moment
    from turnout.wire.api import RollbackRequest

    return RollbackRequest(
        project=project,
        environment=check_name(environment, "an environment"),
        to=None if to is None else options.check_release(to, project),
        at=None if at is None else moment(at, "--at"),
        only=None if only is None else check_name(only, "a part of the release unit"),
        drill=drill,
        force=force,
        reason=options.check_text(reason, "reason"),
    )


def _print_plan(planned: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        output.document(planned)
        return
    from turnout.cli.client import understood
    from turnout.cli.planned import plan_lines
    from turnout.wire.api import PlanDocument

    for line in plan_lines(understood(PlanDocument, planned)):
        output.out(line)
