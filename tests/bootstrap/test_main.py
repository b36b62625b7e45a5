"""The command line as a whole: what every command takes, and what it needs to start at all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from turnout.bootstrap import app


def leaves(group: Any, *before: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that it is called by."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from leaves(command, *before, name)
        else:
            yield (*before, name), command


COMMANDS = dict(leaves(get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_takes_the_common_options(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "--server", "--token"} <= options


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_help_is_plain_and_ends_with_what_all_take(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    before, _, common = result.stdout.partition("Common options:")
    assert before.startswith("Usage: ") and "--json" not in before
    assert "--json" in common and "--server" in common


@pytest.mark.parametrize("words", [["up"], ["agent", "--data", "/nowhere"]])
@pytest.mark.parametrize("option", ["--server", "--token"])
def test_what_is_a_server_itself_refuses_the_options_of_clients(
    words: list[str], option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["turnout", *words, option, "x", "--json"])
    result = CliRunner().invoke(app, [*words, option, "x", "--json"])
    assert result.exit_code == 2
    problem = json.loads(result.stdout)
    assert problem["subject"] == option and problem["next_step"]


def test_an_old_python_is_told_so_in_one_line() -> None:
    code = "import sys; sys.version_info = (3, 10, 9, 'final', 0); import turnout.bootstrap"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Turnout needs Python 3.11 or newer; ")
    assert done.stderr.count("\n") == 1


def test_a_help_draws_no_boxes() -> None:
    code = (
        "import sys; from turnout.bootstrap import main\n"
        "sys.argv = ['turnout', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'rich', 'pydantic', 'httpx2', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
