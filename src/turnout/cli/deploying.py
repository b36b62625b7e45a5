"""The commands ``deploy`` and ``plan``: a directory on its way into an environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from turnout.cli import options, output
from turnout.cli.group import Interrupted

if TYPE_CHECKING:
    from turnout.cli.client import Client
    from turnout.cli.progress import Progress
    from turnout.wire.api import DeployRequest


class Strategy(StrEnum):
    """How traffic is moved."""

    AUTO = "auto"
    BLUE_GREEN = "blue-green"
    ROLLING = "rolling"
    CANARY = "canary"
    RECREATE = "recreate"


class Priority(StrEnum):
    """Which waiting deployment goes first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


To = Annotated[
    str, typer.Option("--to", metavar="ENV", help="The environment, such as production.")
]
StrategyOption = Annotated[
    Strategy | None,
    typer.Option("--strategy", help="How traffic is moved; else as the environment says."),
]
PriorityOption = Annotated[
    Priority, typer.Option("--priority", help="Its place among those that wait.")
]
Message = Annotated[
    str, typer.Option("--message", "-m", metavar="TEXT", help="What is new; kept with the release.")
]
NoQueue = Annotated[
    bool,
    options.flag("--no-queue", help="Exit 7 if another deployment is under way; do not wait."),
]
NoBuild = Annotated[bool, options.flag("--no-build", help="Package what an earlier build left.")]
NoWait = Annotated[bool, options.flag("--no-wait", help="Do not follow it to its end.")]


def deploy(
    to: To,
    path: options.PathArgument = None,
    project: options.Project = None,
    strategy: StrategyOption = None,
    priority: PriorityOption = Priority.NORMAL,
    message: Message = "",
    no_wait: NoWait = False,
    no_queue: NoQueue = False,
    no_build: NoBuild = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Package a project, upload what the server lacks, and move the traffic onto it.

    Exit codes: 0 succeeded, 1 failed, 2 invalid, 3 rejected or refused, 4 rolled back,
    5 aborted, 6 unreachable, 7 another deployment holds the environment.
    """
    from turnout.cli.following import see_through, show

    session = options.session(json, server, token, fingerprint)
    with session.client() as client:
        progress = _open()
        try:
            with _interruptible():
                request = _prepare(
                    client, progress, path, to, project, strategy, priority, message,
                    queue=not no_queue, build=not no_build,
                )  # fmt: skip
                started = client.post("/deployments", request)
        except BaseException:
            progress.close()
            raise
        if no_wait:
            progress.close()
            show(started, as_json=session.json)
            return
        code = see_through(client, started, progress, as_json=session.json)
    raise typer.Exit(code)


def plan(
    to: To,
    path: options.PathArgument = None,
    project: options.Project = None,
    strategy: StrategyOption = None,
    priority: PriorityOption = Priority.NORMAL,
    message: Message = "",
    no_wait: NoWait = False,
    no_queue: NoQueue = False,
    no_build: NoBuild = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Print the exact steps that `deploy` would run now, and run none.

    The release is uploaded, so that the deployment that follows finds it there; no environment
    changes.
    """
    del no_wait  # the arguments are those of deploy; there is nothing to wait for
    session = options.session(json, server, token, fingerprint)
    with session.client() as client:
        progress = _open()
        try:
            with _interruptible():
                request = _prepare(
                    client, progress, path, to, project, strategy, priority, message,
                    queue=not no_queue, build=not no_build,
                )  # fmt: skip
                planned = client.post("/plans", request)
        finally:
            progress.close()
    if session.json:
        output.document(planned)
        return
    from turnout.cli.client import understood
    from turnout.cli.planned import plan_lines
    from turnout.wire.api import PlanDocument

    for line in plan_lines(understood(PlanDocument, planned)):
        output.out(line)


def _prepare(
    client: Client,
    progress: Progress,
    path: Path | None,
    to: str,
    project: str | None,
    strategy: Strategy | None,
    priority: Priority,
    message: str,
    *,
    queue: bool,
    build: bool,
) -> DeployRequest:
    """Build, package and upload; return what the server is asked for."""
    from turnout.cli import building
    from turnout.cli.uploading import package, upload
    from turnout.cli.workspace import open_workspace
    from turnout.wire.api import DeployRequest

    message = options.check_text(message, "message")
    chosen = None if strategy is None else strategy.value
    workspace = open_workspace(path, to, name=project, strategy=chosen, build=build)
    for remark in workspace.remarks:
        progress.note(f"note: {remark}")
    # Asked before minutes are spent on a build: is anybody there, and may we?
    client.get("/server")
    if workspace.build:
        progress.note(f"build: {' '.join(workspace.build)}")
        building.run(workspace.build, workspace.root, progress.build_line)
    scanned = package(workspace.package, progress.packaging)
    sent = upload(client, workspace.intent.project, scanned, message, progress.uploading)
    return DeployRequest(
        intent=workspace.intent,
        release=sent.release,
        priority=priority.value,
        message=message,
        queue=queue,
        uploaded_bytes=sent.uploaded_bytes,
        reused_bytes=sent.reused_bytes,
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "You stopped it before a deployment was known to have started",
            next_step="`turnout list` shows whether one was; what was uploaded is kept.",
        ) from None


def _open() -> Progress:
    from turnout.cli.progress import open_progress

    sys.stdout.flush()
    return open_progress()
