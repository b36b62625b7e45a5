"""The help as plain text in sections: what is special to a command first, what all take last.

Typer's own boxes need 100 ms of imports, which is as much as everything else that a help does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand

Row = tuple[str, str]


class Command(TyperCommand):
    """A command whose help lists its options by their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, in the order of their first options."""
        sections(formatter, option_rows(self.get_params(ctx), ctx))


def option_rows(parameters: Iterable[Any], context: typer.Context) -> list[tuple[str, Row]]:
    """Return a section and a row for each of *parameters* that the help shows, arguments first."""
    arguments, options = [], []
    for parameter in parameters:
        row = parameter.get_help_record(context)
        if row is None:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(("Arguments", (row[0].partition(" <")[0], row[1])))
        else:
            options.append((getattr(parameter, "rich_help_panel", None) or "Options", row))
    return arguments + options


def command_rows(group: Any, context: typer.Context) -> list[tuple[str, Row]]:
    """Return a section and a row for each command of *group* that is not hidden."""
    commands = [group.get_command(context, name) for name in group.list_commands(context)]
    return [
        (command.rich_help_panel or "Commands", (command.name, command.get_short_help_str(200)))
        for command in commands
        if not command.hidden
    ]


def sections(formatter: Any, rows: Iterable[tuple[str, Row]]) -> None:
    """Write *rows* under the titles of their sections."""
    grouped: dict[str, list[Row]] = {}
    for title, row in rows:
        grouped.setdefault(title, []).append(row)
    for title, own in grouped.items():
        with formatter.section(title):
            formatter.write_dl(own)
