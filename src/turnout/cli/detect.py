"""Looks at a directory and finds out how it is built and run."""

from __future__ import annotations

from pathlib import Path

from turnout.base.errors import InvalidInput
from turnout.cli import detect_node, detect_python, python_packages
from turnout.cli.argv import argv_of
from turnout.cli.found import Found, text_of

BUILT = ("dist", "build", "public", "out", "_site", "site", "www")
"""Where builders put a finished site, in the order in which we look."""


def detect(directory: Path) -> Found:
    """Return what the project in *directory* seems to be.

    A ``Procfile`` says it outright and goes first; a ``package.json`` goes before
    ``index.html``, for the latter is also the source of a site that is yet to be built.

    Raises:
        InvalidInput: It is no directory, nothing is recognised, or the command that starts it
            needs a shell.
    """
    if not directory.is_dir():
        raise InvalidInput(
            "There is no such directory",
            subject=str(directory),
            next_step="Name the directory of the project.",
        )
    found = (
        _procfile(directory)
        or detect_node.detect(directory)
        or detect_python.detect(directory)
        or _static(directory)
    )
    if found is None:
        raise InvalidInput(
            "Nothing here looks like a web project",
            subject=str(directory),
            why="there is no Procfile, package.json, Python app or index.html",
            next_step="Name another directory, or write turnout.toml by hand.",
        )
    return found


def _procfile(directory: Path) -> Found | None:
    for number, line in enumerate(text_of(directory / "Procfile").splitlines(), 1):
        name, colon, command = line.partition(":")
        if colon and name.strip() == "web":
            words = argv_of(command.strip(), f"line {number} of Procfile")
            port_env, notes = detect_python.port_of(words)
            found = Found(
                kind="a server app",
                run=tuple(words),
                port_env=port_env,
                because=(f"Procfile has a web process: {command.strip()}",),
                notes=notes,
            )
            return python_packages.of_procfile(found, directory)
    return None


def _static(directory: Path) -> Found | None:
    if (directory / "index.html").is_file():
        return Found(kind="a static site", because=("there is an index.html",))
    for name in BUILT:
        if (directory / name / "index.html").is_file():
            return Found(kind="a static site", output=name, because=(f"{name}/ has an index.html",))
    return None
