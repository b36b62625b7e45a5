"""Reads ``turnout.toml`` and says what the project asks of one environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from turnout.base.ids import check_name
from turnout.cli import tomlfile
from turnout.cli.filemodels import Environment, ProjectFile
from turnout.cli.filetypes import Table
from turnout.cli.locator import Positions
from turnout.cli.mistakes import Mistake, explain, refuse
from turnout.cli.rollout_tables import ROLLOUT_KEYS, rollout_of
from turnout.cli.whole import check_whole
from turnout.wire.project import Intent

NAME = "turnout.toml"


@dataclass(frozen=True)
class Project:
    """A checked ``turnout.toml``.

    Attributes:
        path: The file.
        file: What it says.
        positions: Where it says so.
        warnings: What is accepted and does nothing in this version.
    """

    path: Path
    file: ProjectFile
    positions: Positions
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.file.project


def read(path: Path) -> Project:
    """Return the project that the file at *path* describes.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It has mistakes; the error names line and column of each.
    """
    missing = "`turnout init` looks at the project and writes one."
    return parse(tomlfile.read(path, NAME, missing), path)


def parse(content: bytes, path: Path = Path(NAME)) -> Project:
    """Return the project that *content* describes; *path* is for messages only.

    Raises:
        InvalidInput: It has mistakes; the error names line and column of each.
    """
    shown = str(path)
    document, positions = tomlfile.parse(tomlfile.decode(content, shown, NAME), shown, NAME)
    try:
        file = ProjectFile.model_validate(document)
    except ValidationError as error:
        raise refuse(shown, explain(error.errors(), document, positions)) from None
    if mistakes := check_whole(file, positions):
        raise refuse(shown, mistakes)
    return Project(path, file, positions, _warnings(file))


def intent(
    project: Project, environment: str, *, name: str | None = None, strategy: str | None = None
) -> Intent:
    """Return what *project* asks of *environment*: the top of the file, then its own table.

    Args:
        project: The file.
        environment: The environment's name; it need not be in the file.
        name: Another name for the project than that of the file.
        strategy: Another strategy than that of the file.

    Raises:
        InvalidInput: A name is not allowed, or the two tables do not fit together.
    """
    check_name(environment, "an environment")
    file = project.file
    own = (file.environments or {}).get(environment, Environment())
    run = _merged(file.run, own.run)
    static = _merged(file.static, own.static)
    component: dict[str, Any] = {"health": _merged(file.health, own.health)}
    if run:
        component["run"] = _renamed(run, {"env": "variables", "memory": "memory_bytes"})
    else:
        component["static"] = static
    own_rollout = {key: value for key, value in _given(own).items() if key in ROLLOUT_KEYS}
    rollout = rollout_of(_given(file.rollout), own_rollout)
    if strategy is not None:
        rollout["strategy"] = strategy
    wanted = {
        "project": check_name(name or file.project, "a project"),
        "environment": environment,
        "component": component,
        "checks": [_given(check) for check in file.checks or ()],
        "rollout": rollout,
        "domains": own.domains or (),
        "hosts": own.hosts or (),
    }
    try:
        return Intent.model_validate(wanted)
    except ValidationError as error:
        place = project.positions.of_key(("environments", environment))
        mistakes = [
            Mistake.at(place, f"[environments.{environment}]: {found['msg']}")
            for found in error.errors()
        ]
        raise refuse(str(project.path), mistakes) from None


def _warnings(file: ProjectFile) -> tuple[str, ...]:
    warnings = []
    if file.run is not None and file.static is not None:
        warnings.append("[static] is not used, for [run] makes the project a server app")
    return tuple(warnings)


def _merged(base: Table | None, own: Table | None) -> dict[str, Any]:
    """Return *base* with *own* over it; tables inside, such as env, merge key by key."""
    merged = _given(base)
    for key, value in _given(own).items():
        both_tables = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both_tables else value
    return merged


def _given(table: Table | None) -> dict[str, Any]:
    """Return the keys that are written in the file."""
    return {} if table is None else table.given()


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
