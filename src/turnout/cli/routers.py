"""The commands ``router …``: what moves the traffic on the hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from turnout.base.ids import check_name
from turnout.cli import options, output
from turnout.cli.group import Commands
from turnout.cli.helping import Command

Host = Annotated[
    str, typer.Argument(metavar="HOST", help="The host, as `turnout traffic` shows it.")
]

_RESTART_S = 150.0
"""A little more than the server gives the fresh process to take over."""

router = typer.Typer(
    cls=Commands,
    help="Restart the router of a host; switch access logs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@router.command("restart", cls=Command)
def restart(
    host: Host = "local",
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Replace the router's process by a fresh one that takes over; no request is dropped."""
    session = options.session(json, server, token, fingerprint)
    name = check_name(host, "a host")
    if not session.json:
        output.err(f"restarting the router of {name}; requests under way are finished")
    with session.client() as client:
        document = client.post(f"/hosts/{name}/router/restart", patience=_RESTART_S)
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.cli.problems import visible
    from turnout.cli.values import show_duration
    from turnout.wire.agent import RouterRestarted

    done = understood(RouterRestarted, document)
    took = show_duration(done.took_ms / 1000)
    output.out(visible(f"{name}: router {done.version} took over in {took} (epoch {done.epoch})"))


@router.command("access-log", cls=Command)
def access_log(
    environment: options.EnvironmentName,
    project: options.Project = None,
    off: Annotated[bool, options.flag("--off", help="Stop it again.")] = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Make the routers write a line for each request of an environment, or stop it."""
    session = options.session(json, server, token, fingerprint)
    check_name(environment, "an environment")
    with session.client() as client:
        name = options.project_of(client, project, environment)
        path = f"/environments/{name}/{environment}/access-log"
        document = client.put(path, {"on": not off})
    if session.json:
        output.document(document)
        return
    state = "on" if document.get("on") else "off"
    output.out(f"{name}/{environment}: the access log is {state}")
