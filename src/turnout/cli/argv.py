"""Command lines of other tools as argument vectors; a shell is never needed, nor imitated."""

from __future__ import annotations

import re
import shlex

from turnout.base.errors import InvalidInput

_SHELL = re.compile(r"[|&;<>()`$*?\[\]{}~\n\\]")
# Between single quotes nothing is special to a shell, between double quotes little is.
_QUOTED = re.compile(r"""'[^']*'|"[^"$`\\]*\"""")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def argv_of(line: str, where: str) -> list[str]:
    """Return the arguments of the command *line*.

    Args:
        line: A command as a Procfile or a ``package.json`` has it.
        where: Where it stands, for the message.

    Raises:
        InvalidInput: It needs a shell (a pipe, a variable, a pattern, several commands), or
            its quotes do not match.
    """
    special = _SHELL.search(_QUOTED.sub("", line))
    if special is not None:
        raise _refused(line, where, f"{special[0]!r} has a meaning to a shell only")
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise _refused(line, where, str(error)) from None
    if not words:
        raise _refused(line, where, "it is empty")
    if _ASSIGNMENT.match(words[0]):
        raise _refused(line, where, f"{words[0].split('=')[0]}=... is set by a shell only")
    return words


def _refused(line: str, where: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"The command in {where} needs a shell, and Turnout starts programs without one",
        subject=line[:200],
        why=why,
        next_step=(
            'Write turnout.toml with [run] command = ["program", "argument"], variables '
            "under [run] env, and the port read from the variable named by port_env."
        ),
    )
