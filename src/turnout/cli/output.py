"""Where words go: results to standard output, progress and messages to standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from turnout.cli.problems import visible

_STYLES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def document(value: Mapping[str, Any]) -> None:
    """Print *value* as the one JSON document of a command."""
    _write(sys.stdout, json.dumps(value, indent=2))


def json_line(value: Mapping[str, Any]) -> None:
    """Print *value* as one line of a JSON Lines stream."""
    _write(sys.stdout, json.dumps(value, separators=(",", ":")))


def out(text: str = "", *, style: str = "") -> None:
    """Print a line of the result for people."""
    _write(sys.stdout, _styled(sys.stdout, text, style))


def err(text: str, *, style: str = "") -> None:
    """Print a message for people."""
    _write(sys.stderr, _styled(sys.stderr, text, style))


def warn(text: str) -> None:
    """Print a warning for people."""
    err(f"warning: {visible(text)}", style="yellow")


def has_colour(stream: TextIO) -> bool:
    """Return whether *stream* is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Return how many columns a result may take: COLUMNS or those of the terminal, else 100."""
    return shutil.get_terminal_size((100, 24)).columns


def _styled(stream: TextIO, text: str, style: str) -> str:
    if not style or not has_colour(stream):
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def _write(stream: TextIO, text: str) -> None:
    # A terminal that cannot show a character gets a question mark, never a traceback.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
