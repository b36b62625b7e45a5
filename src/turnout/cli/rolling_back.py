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
PlanOnly = Annotated[bool, options.flag("--plan", help="Print the steps and run none.")]
NoWait = Annotated[bool, options.flag("--no-wait", help="Do not follow it to its end.")]


def rollback(
    environment: options.EnvironmentName,
    project: options.Project = None,
    to: Release = None,
    reason: options.Reason = "",
    plan: PlanOnly = False,
    no_wait: NoWait = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Go back to the release before, or to RELEASE; a deployment under way is aborted."""
    from turnout.cli.following import see_through, show
    from turnout.cli.progress import open_progress

    session = options.session(json, server, token, fingerprint)
    with session.client() as client:
        name = options.project_of(client, project, environment)
        request = _request(name, environment, to, reason)
        if plan:
            _print_plan(client.post("/rollbacks/plan", request), as_json=session.json)
            return
        started = client.post("/rollbacks", request)
        if no_wait:
            show(started, as_json=session.json)
            return
        code = see_through(client, started, open_progress(), as_json=session.json)
    raise typer.Exit(code)


def _request(project: str, environment: str, to: str | None, reason: str) -> RollbackRequest:
    from turnout.wire.api import RollbackRequest

    if to is not None and (not 6 <= len(to) <= 64 or not set(to) <= set("0123456789abcdef")):
        raise InvalidInput(
            f"{ascii(to)[:80]} is no release",
            why="a release is named by 6 to 64 lower-case hexadecimal digits",
            next_step=f"`turnout releases --project {project}` shows them.",
        )
    return RollbackRequest(
        project=project,
        environment=check_name(environment, "an environment"),
        to=to,
        reason=options.check_text(reason, "reason"),
    )


def _print_plan(planned: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        output.document(planned)
        return
    from turnout.cli.client import understood
    from turnout.cli.rendering import plan_lines
    from turnout.wire.api import PlanDocument

    for line in plan_lines(understood(PlanDocument, planned)):
        output.out(line)
