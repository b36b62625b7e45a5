"""Files that people write: read with a limit, and parsed with the place of every key and value."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from turnout.base.errors import InvalidInput, NotFound
from turnout.cli.locator import Positions, locate
from turnout.cli.mistakes import Mistake, refuse

MAX_BYTES = 1 << 20
"""A file that people write stays far below; the parser's memory grows with the text."""

_WHERE = re.compile(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)


def read(path: Path, what: str, missing: str) -> bytes:
    """Return what is in a file.

    Args:
        path: The file.
        what: What it is called.
        missing: What to do if it is not there.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It is no file, cannot be read, or is too long.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for its writer
            raise InvalidInput(
                f"{what} is no file", subject=str(path), next_step=f"Put a file there: {missing}"
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        name = what.removeprefix("The ")
        raise NotFound(f"There is no {name}", subject=str(path), next_step=missing) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{what} cannot be read",
            subject=ascii(str(path))[1:-1],
            why=getattr(error, "strerror", None) or str(error),
            next_step="Make it a file that you may read.",
        ) from error
    if len(content) > MAX_BYTES:
        raise InvalidInput(
            f"{what} is too long",
            subject=str(path),
            why="over 1 MiB",
            next_step="Keep settings alone in it.",
        )
    return content


def decode(content: bytes, shown: str, what: str) -> str:
    """Return *content* as text.

    Raises:
        InvalidInput: It is not UTF-8; the error names line and column.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise refuse(shown, [Mistake(line, column, "this is not UTF-8")], what) from None


def parse(text: str, shown: str, what: str) -> tuple[dict[str, Any], Positions]:
    """Return the TOML document *text*, and where its keys and values stand.

    Raises:
        InvalidInput: It is not TOML; the error names line and column.
    """
    try:
        return tomllib.loads(text), locate(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse(shown, [_broken(error, text)], what) from None
    except ValueError:
        # Python reads no longer numbers (sys.set_int_max_str_digits).
        raise refuse(shown, [Mistake(1, 1, "a number has too many digits")], what) from None
    except RecursionError:
        raise refuse(shown, [Mistake(1, 1, "values are nested too deeply")], what) from None


def _broken(error: tomllib.TOMLDecodeError, text: str) -> Mistake:
    found = _WHERE.match(str(error))
    message = "this is not TOML: " + (found[1] if found else str(error))
    if found and found[2]:
        return Mistake(int(found[2]), int(found[3]), message)
    lines = text.split("\n")
    return Mistake(len(lines), len(lines[-1]) + 1, message)
