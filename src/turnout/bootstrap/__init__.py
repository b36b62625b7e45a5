"""The entry point, and the only place that wires adapters to ports.

``main`` registers ``up`` and ``agent`` beside the commands of the CLI.  What only the server
needs is imported when it starts, so that the other commands stay quick.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - a checkout or a wheel forced in runs on anything
    sys.exit(f"Turnout needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")

import os
from pathlib import Path
from typing import Annotated

import typer

from turnout.base.errors import InvalidInput
from turnout.base.rundir import run_directory
from turnout.bootstrap.options import (
    HOST,
    Options,
    default_data,
    explained,
    only_one,
    own_database,
    parse_address,
    sites_address,
    traces_endpoint,
)
from turnout.cli.app import app
from turnout.cli.helping import Command
from turnout.cli.options import Json, NoServer, NoToken


def main() -> None:
    """Run the command line."""
    app()


@app.command("up", cls=Command, rich_help_panel="This machine")
def up(
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where API and dashboard listen.")
    ] = "127.0.0.1:7700",
    http: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the sites are served.")
    ] = "127.0.0.1:8080",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Else a per-user data directory.")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="TURNOUT_DATABASE",
            help="postgresql+psycopg://…; else SQLite in the data.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host name that clients use for the API; repeatable."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificate (PEM); else one of its own if needed."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate's key (PEM).")
    ] = None,
    stop_apps: Annotated[
        bool, typer.Option("--stop-apps", help="When it ends, end what it serves too.")
    ] = False,
    otlp: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Send traces of deployments there (OTLP); else as OTEL_* say."
        ),
    ] = None,
    json: Json = False,
    server: NoServer = None,
    token: NoToken = None,
) -> None:
    """Run everything on this machine: API and dashboard, worker, local host, router."""
    _speaks_to_no_server("up", server, token)
    if (tls_cert is None) != (tls_key is None):
        raise InvalidInput(
            "A certificate needs its key and a key its certificate",
            next_step="Give both --tls-cert and --tls-key, or neither.",
        )
    place = (data or default_data()).expanduser().resolve()
    door = parse_address(listen, "--listen")
    options = Options(
        listen=door,
        http=sites_address(http, door),
        data=place,
        database=database or own_database(place),
        names=tuple(name or ()),
        tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        stop_apps=stop_apps,
        json=json,
        traces=traces_endpoint(otlp),
    )
    os.umask(0o077)
    with only_one(place), explained(place):
        import asyncio

        from turnout.packages.buffers import one_arena

        one_arena()
        from turnout.bootstrap.server import serve

        asyncio.run(serve(options))
        # Workflows under way are cut here and taken up by the next start, as after a crash;
        # waiting for the interpreter to end their threads would only take time.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@app.command("agent", cls=Command, hidden=True)
def agent(
    data: Annotated[Path, typer.Option(metavar="DIR")],
    http: Annotated[str, typer.Option(metavar="HOST:PORT")] = "127.0.0.1:8080",
    host: Annotated[str, typer.Option(metavar="NAME")] = HOST,
    socket: Annotated[Path | None, typer.Option(metavar="PATH")] = None,
    json: Json = False,  # noqa: ARG001 - what an error looks like is decided above
    server: NoServer = None,
    token: NoToken = None,
) -> None:
    """Run the program of a host; 'turnout up' does it by itself for this machine."""
    _speaks_to_no_server("agent", server, token)
    from turnout.agent.main import run
    from turnout.targets.local import agent_socket

    run(data, socket or agent_socket(run_directory(data)), host, parse_address(http, "--http"))


def _speaks_to_no_server(command: str, server: str | None, token: str | None) -> None:
    """Refuse the options of clients, which every command takes, where they mean nothing.

    Raises:
        InvalidInput: One of them is given.
    """
    given = [name for name, value in (("--server", server), ("--token", token)) if value]
    if given:
        raise InvalidInput(
            f"`turnout {command}` speaks to no server",
            subject=given[0],
            why="it is itself one" if command == "up" else "the server comes to it",
            next_step="Leave it out; --listen says where the server listens."
            if command == "up"
            else "Leave it out.",
        )
