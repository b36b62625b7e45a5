"""The command group: every way in which a command can end becomes text, JSON and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from turnout.base.errors import Aborted, Failed, InvalidInput, TurnoutError
from turnout.cli import helping, output
from turnout.cli.problems import document_of, text_of

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


class Interrupted(Aborted):
    """Ctrl-C before anything was started."""

    exit_code = INTERRUPTED


class Commands(TyperGroup):
    """A group whose errors are those of :mod:`turnout.base.errors`."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command and exit with the code of the command-line contract."""
        options["standalone_mode"] = False
        given = options.get("args") or (args[0] if args else None)
        words = list(sys.argv[1:] if given is None else given)
        as_json = wants_json(words)
        try:
            code = super().main(*args, **options)
        except TurnoutError as error:
            code = report(error, as_json)
        except typer.TyperException as error:
            code = _usage(error, as_json)
        except typer.Abort:
            code = INTERRUPTED
        except BrokenPipeError:
            code = _pipe_closed()
        except Exception as error:  # the last resort of a program: said, never swallowed
            code = report(_bug(error), as_json)
        sys.exit(code if isinstance(code, int) else 0)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help's sections of options and commands."""
        helping.sections(formatter, helping.option_rows(self.get_params(ctx), ctx))
        helping.sections(formatter, helping.command_rows(self, ctx))


def report(error: TurnoutError, as_json: bool) -> int:
    """Tell of *error*: text on stderr, with --json its problem on stdout; return its exit code."""
    output.err(text_of(error), style="red")
    if as_json:
        output.document(document_of(error))
    return error.exit_code


def wants_json(words: list[str]) -> bool:
    """Return whether ``--json`` is among the options in *words*."""
    end = words.index("--") if "--" in words else len(words)
    return "--json" in words[:end]


def _usage(error: typer.TyperException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2  # the help has been printed
    path = context.command_path if context is not None else "turnout"
    return report(
        InvalidInput(
            error.format_message().rstrip("."),
            next_step=f"`{path} --help` shows what it takes.",
        ),
        as_json,
    )


def _pipe_closed() -> int:
    """Nobody reads any more, as in ``turnout list | head``: end without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _bug(error: Exception) -> TurnoutError:
    if os.environ.get("TURNOUT_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    return Failed(
        "Turnout made a mistake of its own",
        why=f"{type(error).__name__}: {error}"[:500],
        next_step="Run it again with TURNOUT_DEBUG=1 and report what it prints.",
    )
