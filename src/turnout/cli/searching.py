"""The command ``logs search``: lines of all instances on all hosts, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from turnout.base.errors import InvalidInput
from turnout.base.ids import check_name
from turnout.cli import options, output
from turnout.cli.helping import Command

if TYPE_CHECKING:
    from turnout.wire.logs import ErrorKinds, FoundLines

_WITH_VALUE = ("--server", "--token", "--fingerprint", "--tail", "-n")
"""Options of ``logs`` behind which a word is their value."""


class Level(StrEnum):
    """How grave a line is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Logs(Command):
    """The command ``logs ID``, which hands over to ``logs search`` when that is what is asked."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Return the context of the command that *args* mean."""
        at = _first_word(args)
        if at is not None and args[at] == "search":
            rest = [*args[:at], *args[at + 1 :]]
            command = get_command(_app)
            return command.make_context(f"{info_name} search", rest, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


_app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@_app.command("search", cls=Command)
def search(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Anywhere in a line, in any case.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Only this project's.")
    ] = None,
    environment: options.EnvironmentOption = None,
    release: Annotated[
        str | None,
        typer.Option("--release", metavar="RELEASE", help="Only its: at least 6 digits of it."),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", help="Only of this host.")
    ] = None,
    instance: Annotated[
        int | None,
        typer.Option("--instance", metavar="N", min=0, max=1000, help="Only of this instance."),
    ] = None,
    level: Annotated[
        Level | None, typer.Option("--level", help="That level or graver, as the line says.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="RE2", help="A regular expression, in RE2's syntax."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="A date and time, or how long ago: 15m."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Likewise; before it.")
    ] = None,
    errors: Annotated[
        bool,
        options.flag("--errors", help="Each kind of error once: how often, first and last time."),
    ] = False,
    limit: options.Limit = 50,
    cursor: options.Cursor = None,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Search what the instances of all hosts wrote; printed oldest first, as JSON newest first."""
    from turnout.cli.moments import moment_or_ago

    session = options.session(json, server, token, fingerprint)
    for name, what in ((project, "a project"), (environment, "an environment"), (host, "a host")):
        if name is not None:
            check_name(name, what)
    if errors and cursor is not None:
        raise InvalidInput("Errors stand on a single page", next_step="Leave out --cursor.")
    with session.client() as client:
        if environment is not None:
            project = options.project_of(client, project, environment)
        document = client.get(
            "/logs/errors" if errors else "/logs",
            project=project,
            environment=environment,
            release=None if release is None else options.check_release(release),
            host=host,
            instance=instance,
            level=None if level is None else level.value,
            text=None if text is None else options.check_text(text, "text"),
            pattern=None if pattern is None else options.check_text(pattern, "pattern"),
            since=None if since is None else moment_or_ago(since, "--since").isoformat(),
            until=None if until is None else moment_or_ago(until, "--until").isoformat(),
            limit=limit,
            cursor=cursor,
        )
    if session.json:
        output.document(document)
        return
    from turnout.cli.client import understood
    from turnout.wire.logs import ErrorKinds, FoundLines

    if errors:
        _print_errors(understood(ErrorKinds, document))
    else:
        _print_lines(understood(FoundLines, document))


def _first_word(args: Sequence[str]) -> int | None:
    """Return where the first word of *args* stands that is neither option nor its value."""
    value = False
    for at, word in enumerate(args):
        if word == "--":
            return None
        if not value and not word.startswith("-"):
            return at
        value = not value and word in _WITH_VALUE
    return None


def _print_lines(found: FoundLines) -> None:
    from turnout.cli.rendering import found_line

    for line in reversed(found.items):
        output.out(found_line(line))
    _tell_rest(found, "No line was found.")
    if found.next_cursor:
        output.err(f"There are older ones: --cursor {found.next_cursor}")


def _print_errors(found: ErrorKinds) -> None:
    from turnout.cli.rendering import error_rows, table

    if found.items:
        for line in table(error_rows(found.items)):
            output.out(line)
    _tell_rest(found, "No error was found.")


def _tell_rest(found: FoundLines | ErrorKinds, nothing: str) -> None:
    if not found.items:
        output.err(f"{nothing} {found.scanned} lines were looked at.")
    if found.silent:
        output.warn(f"these hosts did not answer: {', '.join(found.silent)}")
    elif not found.complete:
        output.warn("older lines were not looked at; narrow it with --since or --release")
