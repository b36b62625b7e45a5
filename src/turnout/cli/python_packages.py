"""How a Python app gets its packages: installed beside it by the build, and sent along.

A virtual environment holds absolute paths and works in one place only; a directory on
``PYTHONPATH`` works wherever the release is unpacked.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from turnout.cli.found import Found, text_of

PACKAGES = ".python_packages"
"""Where they are installed, in the project."""

_REQUIREMENTS = "requirements.txt"

# --upgrade: without it pip leaves an older version in the directory as it is.  --no-compile:
# bytecode is never packaged.
_INSTALL = (
    *("python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
    *("--no-compile", "--upgrade", "--target", PACKAGES, "-r", _REQUIREMENTS),
)
_SERVERS = ("gunicorn", "uvicorn", "hypercorn", "flask", "waitress")


def with_packages(found: Found, directory: Path, needed: set[str]) -> Found:
    """Return *found* with a build that installs what the app needs, or a note that says how.

    Args:
        found: A Python app.
        directory: The project.
        needed: Packages that it is known to need at least.
    """
    if text_of(directory / _REQUIREMENTS).strip():
        return replace(
            found,
            build=_INSTALL,
            env={**found.env, "PYTHONPATH": PACKAGES},
            because=(*found.because, f"there is a {_REQUIREMENTS}"),
            notes=(*found.notes, f"{PACKAGES} belongs into .gitignore; the build fills it"),
        )
    if not needed:
        return found
    note = (
        f"{', '.join(sorted(needed))} must be installed where it runs; "
        f"named in a {_REQUIREMENTS}, `turnout init` lets the build bring them along"
    )
    return replace(found, notes=(*found.notes, note))


def of_procfile(found: Found, directory: Path) -> Found:
    """Return *found*, the web process of a ``Procfile``, with its packages if it is in Python.

    A program that pip installs is a script bound to the Python beside it; as a module it runs
    by whichever Python the host has.
    """
    program, *rest = found.run
    if program == "python":
        found = replace(found, run=("python3", *rest))
    elif program in _SERVERS and text_of(directory / _REQUIREMENTS).strip():
        found = replace(found, run=("python3", "-m", program, *rest))
    if found.run[0] != "python3":
        return found
    return with_packages(found, directory, set())
