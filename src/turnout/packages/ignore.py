"""What is left out of a release: ``.turnoutignore``, and defaults that fit every project."""

from __future__ import annotations

from pathlib import Path

import pathspec

from turnout.base.errors import InvalidInput

NAME = ".turnoutignore"
MAX_BYTES = 1 << 20

DEFAULTS: tuple[tuple[str, str], ...] = (
    (".git", "history of the sources; as a file it points to a worktree"),
    (".hg", "history of the sources"),
    (".svn", "history of the sources"),
    (".turnout", "Turnout's own cache and data"),
    ("/turnout.toml", "how to run the release; it travels beside it"),
    ("/.turnoutignore", "read when packaging and of no use after"),
    (".env", "secrets of a developer's machine; set variables in the environment instead"),
    (".env.*", "the same, for one mode"),
    ("!.env.example", "a template without secrets, which some programs read"),
    (".venv", "a virtual environment holds absolute paths and works in one place only"),
    ("__pycache__", "made anew by Python, and different on every machine"),
    ("*.log", "what a program said on another machine"),
    (".DS_Store", "the macOS Finder's window positions"),
    ("*~", "an editor's backup"),
    ("*.swp", "Vim's swap file"),
    ("*.swo", "Vim's second swap file"),
    (".#*", "Emacs's lock, a link to nowhere"),
)
"""Patterns as in .gitignore, and why; ``node_modules`` is not among them, for Node apps need it."""

_NAMES = frozenset({".git", ".hg", ".svn", ".turnout", ".env", ".venv", "__pycache__", ".DS_Store"})
_ENDINGS = (".log", "~", ".swp", ".swo")
_AT_ROOT = frozenset({"turnout.toml", NAME})


class Ignore:
    """Decides about paths; a project's own patterns come after the defaults and win.

    Args:
        lines: Patterns as in .gitignore.

    Raises:
        InvalidInput: A pattern cannot be read.
    """

    def __init__(self, lines: list[str]) -> None:
        self._spec: pathspec.GitIgnoreSpec | None = None
        for number, line in enumerate(lines, 1):
            try:
                pathspec.GitIgnoreSpec.from_lines([line])
            except ValueError as error:
                raise InvalidInput(
                    f"Line {number} of {NAME} is not a pattern",
                    subject=line[:200],
                    next_step="Patterns are those of .gitignore.",
                ) from error
        if any(line.strip() and not line.startswith("#") for line in lines):
            self._spec = pathspec.GitIgnoreSpec.from_lines(lines)

    def __call__(self, path: str, name: str, *, directory: bool) -> bool:
        """Return whether *path*, whose last component is *name*, is left out.

        As with git, what is inside a directory that is left out cannot be brought back.
        """
        if self._spec is not None:
            verdict = self._spec.check_file(path + "/" if directory else path).include
            if verdict is not None:
                return verdict
        return ignored_by_default(path, name)


def ignored_by_default(path: str, name: str) -> bool:
    """Return whether DEFAULTS leave *path* out.

    Written out by hand, because it is asked 56,000 times for a Node app; a test holds it
    against DEFAULTS.
    """
    return (
        name in _NAMES
        or name.endswith(_ENDINGS)
        or (name[0] == "." and name.startswith((".env.", ".#")) and name != ".env.example")
        or path in _AT_ROOT
    )


def read_ignore(directory: Path) -> Ignore:
    """Return what ``.turnoutignore`` in *directory* asks for; only the defaults without one.

    Raises:
        InvalidInput: The file is too long, not UTF-8, or has a pattern that cannot be read.
    """
    try:
        with (directory / NAME).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Ignore([])
    except OSError as error:
        raise InvalidInput(
            f"{NAME} cannot be read",
            subject=str(directory / NAME),
            why=error.strerror or "",
            next_step="Make it a file that you may read, or remove it.",
        ) from error
    if len(content) > MAX_BYTES:
        raise InvalidInput(
            f"{NAME} is too long",
            subject=str(directory / NAME),
            why=f"over {MAX_BYTES} bytes",
            next_step="Name directories in it, or patterns, in place of single files.",
        )
    try:
        return Ignore(content.decode().splitlines())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{NAME} is not UTF-8",
            subject=str(directory / NAME),
            why=f"line {line} has the byte 0x{content[error.start]:02x} out of place",
            next_step="Save the file in UTF-8; it is a text file like .gitignore.",
        ) from error
