"""The project at hand: where it is, what it asks of an environment, and what is packaged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.base.errors import InvalidInput

if TYPE_CHECKING:
    from turnout.cli.found import Found
    from turnout.wire.project import Intent

NAME = "turnout.toml"


@dataclass(frozen=True)
class Workspace:
    """What ``deploy`` works on.

    Attributes:
        root: The directory of the project; the build runs here.
        package: The directory that becomes the release.
        build: The argument vector that builds it; empty if nothing is to be built.
        intent: What the environment is asked for.
        remarks: What the user should know, one sentence each.
    """

    root: Path
    package: Path
    build: tuple[str, ...]
    intent: Intent
    remarks: tuple[str, ...] = ()


def open_workspace(
    path: Path | None,
    environment: str,
    *,
    name: str | None = None,
    strategy: str | None = None,
    build: bool = True,
) -> Workspace:
    """Return the workspace at *path*, or that of the current directory.

    Args:
        path: The project, or a directory of it that is packaged as it is, without a build;
            None looks for ``turnout.toml`` here and above, up to the repository's root.
        environment: Where it goes.
        name: The project's name, if not that of the file.
        strategy: The strategy, if not that of the file.
        build: Whether to run the build command.

    Raises:
        InvalidInput: Nothing that can be deployed is there, or turnout.toml has mistakes.
    """
    if path is not None and not path.is_dir():
        raise InvalidInput(
            "There is no such directory",
            subject=str(path),
            next_step="Name the directory of the project, or of the finished site.",
        )
    file = find(path)
    if file is None:
        return _guessed(path or Path(), environment, name, strategy, build)
    from turnout.cli import projectfile

    project = projectfile.read(file)
    intent = projectfile.intent(project, environment, name=name, strategy=strategy)
    warnings = project.warnings
    root = file.parent
    if path is not None and not _same(path, root):
        remark = f"{path} is packaged as it is, with the settings of {file}"
        return Workspace(root, path, (), intent, (*warnings, remark))
    section = project.file.build
    if section is None:
        return Workspace(root, root, (), intent, warnings)
    command = tuple(section.command or ()) if build else ()
    return Workspace(root, _inside(root, section.output), command, intent, warnings)


def find(path: Path | None) -> Path | None:
    """Return the ``turnout.toml`` that governs *path* (None: the current directory), if any.

    From a named directory the search goes up to the current one only, and from the current
    one to the root of the repository: a file in a parent that has nothing to do with the
    project must not decide what it is.
    """
    here = Path.cwd()
    start = (path or here).resolve()
    for directory in (start, *start.parents):
        # Whatever bears the name is meant; what is wrong with it is said when it is read.
        if os.path.lexists(directory / NAME):
            return Path(os.path.relpath(directory / NAME))
        if (directory / ".git").exists() or (path is not None and directory == here):
            return None
        if path is not None and here not in directory.parents:
            return None
    return None


def _guessed(
    path: Path, environment: str, name: str | None, strategy: str | None, build: bool
) -> Workspace:
    from turnout.cli.detect import detect
    from turnout.cli.found import name_of

    found = detect(path)
    intent = intent_of(found, name or name_of(path), environment, strategy)
    remarks = (
        f"no turnout.toml; taken for {found.kind} ({'; '.join(found.because)})",
        *found.notes,
        f"`turnout init {path}` writes this down, to be adjusted",
    )
    command = found.build if build else ()
    return Workspace(path, _inside(path, found.output), command, intent, remarks)


def intent_of(found: Found, name: str, environment: str, strategy: str | None) -> Intent:
    """Return what a project without ``turnout.toml`` asks of *environment*."""
    from turnout.base.ids import check_name
    from turnout.wire.project import Component, Intent, Rollout, RunSpec, StaticSpec

    if found.run:
        run = RunSpec(command=found.run, port_env=found.port_env, variables=found.env)
        component = Component(run=run)
    else:
        component = Component(static=StaticSpec(spa=found.spa))
    rollout = Rollout() if strategy is None else Rollout.model_validate({"strategy": strategy})
    return Intent(
        project=check_name(name, "a project"),
        environment=check_name(environment, "an environment"),
        component=component,
        rollout=rollout,
    )


def _inside(root: Path, output: str) -> Path:
    """Return the directory *output* of *root*; it may not lie elsewhere."""
    target = root / output
    if Path(output).is_absolute() or not target.resolve().is_relative_to(root.resolve()):
        raise InvalidInput(
            "The build output lies outside the project",
            subject=output,
            next_step="Set [build] output to a directory of the project.",
        )
    return target


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
