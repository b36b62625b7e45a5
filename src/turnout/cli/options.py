"""Options that many commands take, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turnout.base.errors import InvalidInput
from turnout.base.ids import check_name
from turnout.cli import credentials

if TYPE_CHECKING:
    from turnout.cli.client import Client

_COMMON = "Common options"
"""The panel of the help for what every command takes; its own options stand before."""


def flag(*names: str, help: str, panel: str | None = None) -> Any:
    """Return an option without a value; its help shows no type."""
    return typer.Option(*names, metavar="", help=help, rich_help_panel=panel)


Json = Annotated[bool, flag("--json", help="Print JSON on standard output.", panel=_COMMON)]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="TURNOUT_URL",
        help="The server; else the saved login, else http://127.0.0.1:7700.",
        rich_help_panel=_COMMON,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="TURNOUT_TOKEN",
        help="What authenticates you; else that of the saved login.",
        rich_help_panel=_COMMON,
    ),
]
NoServer = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Refused here.", rich_help_panel=_COMMON),
]
NoToken = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="Refused here.", rich_help_panel=_COMMON),
]
"""The options of clients for a command that is none; the variables of the environment, which a
shell may export for the other commands, are not looked at."""
Fingerprint = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256",
        envvar="TURNOUT_FINGERPRINT",
        help="Trust the server's certificate with this fingerprint, and no other.",
        rich_help_panel=_COMMON,
    ),
]
Project = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="The project; else that of turnout.toml."),
]
EnvironmentOption = Annotated[
    str | None, typer.Option("--environment", metavar="ENV", help="Only this environment.")
]
EnvironmentName = Annotated[
    str, typer.Argument(metavar="ENV", help="The environment, such as production.")
]
DeploymentId = Annotated[
    str, typer.Argument(metavar="ID", help="The deployment, as `turnout list` shows it.")
]
PathArgument = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="The project; else where turnout.toml is, here or above."),
]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=200, help="Items on a page.")
]
Cursor = Annotated[
    str | None,
    typer.Option("--cursor", metavar="CURSOR", help="The next_cursor of the page before."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept in the history.")]


@dataclass(frozen=True)
class Session:
    """What a command was told about where to go and how to speak."""

    json: bool
    login: credentials.Login
    saved_login: Callable[[], credentials.Login] | None = None

    def client(self, on_wait: Callable[[bool], None] | None = None) -> Client:
        """Return a client for the server."""
        from turnout.cli.client import Client

        return Client(self.login, on_wait, self.saved_login)


def session(json: bool, server: str | None, token: str | None, fingerprint: str | None) -> Session:
    """Return what the common options come to: those given, else the saved login.

    Raises:
        InvalidInput: An address, token or fingerprint is malformed.
    """
    login = credentials.lookup(server or None)
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise InvalidInput(
                "The token is malformed",
                why="it holds blanks, control or non-ASCII characters",
                next_step="Copy it again, or unset TURNOUT_TOKEN to use the saved login.",
            )
        login = replace(login, token=token)
    if fingerprint:
        login = replace(login, fingerprint=credentials.check_fingerprint(fingerprint))
    find = None if token or fingerprint else partial(credentials.lookup, server or None)
    return Session(json, login, find)


def check_text(text: str, what: str) -> str:
    """Return a message or reason if it is not too long.

    Raises:
        InvalidInput: It has more than 2,000 characters.
    """
    if len(text) > 2000:
        raise InvalidInput(
            f"The {what} is too long",
            why=f"{len(text)} characters; 2000 are allowed",
            next_step="Shorten it.",
        )
    # Arguments that are not UTF-8 arrive with lone surrogates, which JSON cannot carry.
    return text.encode("utf-8", "replace").decode()


def check_release(release: str, project: str | None = None) -> str:
    """Return *release* if it may be the number of one, or the beginning of it.

    Raises:
        InvalidInput: It may not.
    """
    if not 6 <= len(release) <= 64 or not set(release) <= set("0123456789abcdef"):
        listed = f" --project {project}" if project else ""
        raise InvalidInput(
            f"{ascii(release)[:80]} is no release",
            why="a release is named by 6 to 64 lower-case hexadecimal digits",
            next_step=f"`turnout releases{listed}` shows them.",
        )
    return release


def check_id(deployment: str) -> str:
    """Return *deployment* if it may be the identifier of one.

    Raises:
        InvalidInput: It may not.
    """
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if not 0 < len(deployment) <= 40 or not set(deployment) <= allowed or deployment[0] == "-":
        raise InvalidInput(
            f"{ascii(deployment)[:60]} is no identifier of a deployment",
            next_step="`turnout list` shows the deployments.",
        )
    return deployment


def project_of(client: Client, name: str | None, environment: str | None = None) -> str:
    """Return the project that a command means.

    The option, else ``turnout.toml``, else a project of the server: that with the name of this
    directory, or the only one (that has the environment).

    Raises:
        InvalidInput: It cannot be told.
    """
    if name:
        return check_name(name, "a project")
    from turnout.cli.workspace import find

    file = find(None)
    if file is not None:
        from turnout.cli import projectfile

        return projectfile.read(file).name
    from turnout.cli.found import name_of

    items = client.get("/environments").get("items", [])
    known = sorted(
        {str(item["project"]) for item in items if environment in (None, item["environment"])}
    )
    here = name_of(Path())
    if here in known:
        return here
    if len(known) == 1:
        return known[0]
    raise InvalidInput(
        "Which project is meant?",
        why="there is no turnout.toml here, and the server has "
        + (f"several: {', '.join(known[:20])}" if known else "none that fits"),
        next_step="Name it with --project.",
    )
