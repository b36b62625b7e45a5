"""Which Envoy and Caddy this host uses, and why: what ``doctor`` shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import TurnoutError
from turnout.routers.programs import CADDY, ENVOY, Program, find, require_version


@dataclass(frozen=True)
class Binary:
    """One external program, as ``doctor`` shows it.

    Attributes:
        name: ``envoy`` or ``caddy``.
        path: The binary, None if there is none.
        version: What it reports, empty if it cannot be run.
        pinned: The version that Turnout is tested with.
        reason: Why this binary was chosen.
        problem: What is wrong with it, empty if nothing is.
        next_step: What to do about the problem.
    """

    name: str
    path: Path | None
    version: str
    pinned: str
    reason: str
    problem: str = ""
    next_step: str = ""


def describe(
    *,
    envoy: Path | None = None,
    caddy: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Binary]:
    """Return what would be used for each program; this runs each once for its version.

    Args:
        envoy: The Envoy that the settings name, if any.
        caddy: The Caddy that the settings name, if any.
        environment: Where the variables and the PATH are looked up; by default the process's.
    """
    return [
        _describe(program, setting, environment)
        for program, setting in ((ENVOY, envoy), (CADDY, caddy))
    ]


def _describe(
    program: Program, setting: Path | None, environment: Mapping[str, str] | None
) -> Binary:
    try:
        found = find(program, setting, environment)
    except TurnoutError as error:
        return Binary(
            program.name,
            None,
            "",
            program.pinned,
            "",
            problem=str(error),
            next_step=error.next_step,
        )
    try:
        version = require_version(program, found.path)
    except TurnoutError as error:
        return Binary(
            program.name,
            found.path,
            "",
            program.pinned,
            found.reason,
            problem=str(error),
            next_step=error.next_step,
        )
    return Binary(program.name, found.path, version, program.pinned, found.reason)
