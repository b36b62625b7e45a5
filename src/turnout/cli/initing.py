"""The command ``init``: looks at a project and writes its ``turnout.toml``."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from turnout.base.errors import Failed, Impossible
from turnout.base.ids import check_name
from turnout.cli import options, output

Force = Annotated[bool, options.flag("--force", help="Replace a turnout.toml that is there.")]


def init(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The project's directory.")] = Path(),
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="NAME", help="Its name; else that of the directory."),
    ] = None,
    force: Force = False,
    json: options.Json = False,
    server: options.Server = None,
    token: options.Token = None,
    fingerprint: options.Fingerprint = None,
) -> None:
    """Look at a project, write turnout.toml, and say what was found."""
    from turnout.cli.detect import detect
    from turnout.cli.found import name_of
    from turnout.cli.problems import visible
    from turnout.cli.template import SCHEMA_FILE, render

    del (
        server,
        token,
        fingerprint,
    )  # taken, for every command takes them; nothing here asks a server
    found = detect(path)
    name = check_name(project or name_of(path), "a project")
    target = path / "turnout.toml"
    _write_new(target, render(name, found), force=force)
    _write_schema(path / SCHEMA_FILE)
    if json:
        output.document(
            {
                "file": str(target),
                "project": name,
                "kind": found.kind,
                "because": list(found.because),
                "notes": list(found.notes),
                "build": list(found.build),
                "output": found.output,
                "run": list(found.run),
            }
        )
        return
    output.out(f"{target}: {name} is {found.kind}")
    for reason in found.because:
        output.out(visible(f"  because {reason}"))
    for note in found.notes:
        output.out(visible(f"  check this: {note}"))
    where = "" if path == Path() else f" {shlex.quote(str(path))}"
    output.out(visible(f"next: `turnout deploy{where} --to production`"))


def schema_text() -> str:
    """Return the JSON Schema of ``turnout.toml`` as it is shipped."""
    shipped = resources.files("turnout.cli") / "schema" / "turnout.schema.json"
    return shipped.read_text("utf-8")


def _write_new(target: Path, text: str, *, force: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(target, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Impossible(
            "There is a turnout.toml already, and it stays as it is",
            subject=str(target),
            next_step="Edit it, or replace it with --force.",
        ) from None
    except OSError as error:
        raise Failed(
            "turnout.toml cannot be written",
            subject=str(target),
            why=error.strerror or str(error),
            next_step="Make it and its directory ones that you may write.",
        ) from error


def _write_schema(target: Path) -> None:
    try:
        target.parent.mkdir(exist_ok=True)
        target.write_text(schema_text(), "utf-8")
    except OSError as error:
        # Editors do without; the project does not need it.
        output.warn(f"{target} cannot be written: {error.strerror}")
