"""How an instance is launched: its record on disk, its keeper's orders, its clean environment."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnout.wire import agent as wire
from turnout.wire.model import Message, Report

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Record(Message):
    """One wanted instance as it stands on disk; it holds the project's variables, so mode 0600."""

    wanted: wire.InstanceWanted
    address: str
    port: int | None
    attempts: int
    """Ports that proved to be taken before this one."""
    keeper: dict[str, Any]
    """What the keeper reads."""


class Status(Report):
    """What a keeper last said of its app, or of the command that it ran."""

    state: str = "starting"
    keeper: int | None = None
    """The keeper's own process."""
    pid: int | None = None
    ticks: int | None = None
    restarts: int = 0
    crashes: int = 0
    """Exits in a row that each came soon after the start."""
    exit_code: int | None = None
    started_at: float | None = None
    error: str = ""
    """Why the command could not be executed."""
    timed_out: bool = False
    took_s: float = 0.0


def key_of(wanted: wire.InstanceWanted) -> str:
    """Return the identifier of an instance: ``project/environment/revision/index``."""
    return f"{wanted.scope}/{wanted.revision}/{wanted.index}"


def keeper_spec(
    wanted: wire.InstanceWanted,
    directory: Path,
    tree: Path,
    logs: Path,
    *,
    port: int | None,
    socket: Path | None,
    cgroup: Path | None,
) -> dict[str, Any]:
    """Return what the keeper of *wanted* is told.

    Args:
        directory: The instance's own directory.
        tree: The private copy of the release that it runs in.
        logs: The directory of its log.
        port: Where it shall listen, unless *socket* says so.
        cgroup: The delegated control group that instances get theirs under, if there is one.
    """
    own = None
    if cgroup is not None and wanted.run.memory_bytes is not None:
        own = cgroup / f"turnout-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
    return {
        "instance": key_of(wanted),
        "argv": list(wanted.run.command),
        "cwd": str(tree),
        "environment": environment(wanted, directory, port=port, socket=socket),
        "port": port if socket is None else None,
        "socket": str(socket) if socket else None,
        "status": str(directory / "status.json"),
        "lock": str(directory / "keeper.lock"),
        "stop": str(directory / "stop.json"),
        "logs": str(logs),
        "stop_grace": wanted.run.stop_grace,
        "open_files": wanted.run.open_files,
        "memory_bytes": wanted.run.memory_bytes,
        "cgroup": str(own) if own else None,
    }


def environment(
    wanted: wire.InstanceWanted, directory: Path, *, port: int | None, socket: Path | None
) -> dict[str, str]:
    """Return the whole environment of the app: its surroundings, and where it shall listen."""
    if socket is not None and wanted.run.socket_env is not None:
        listen = {wanted.run.socket_env: str(socket)}
    else:
        listen = {wanted.run.port_env: str(port)}
    return {
        **surroundings(wanted.scope, wanted.release, wanted.run.variables, directory),
        "TURNOUT_INSTANCE": key_of(wanted),
        **listen,
    }


def surroundings(
    scope: str, release: str, variables: Mapping[str, str], directory: Path
) -> dict[str, str]:
    """Return what every program of a release is given; nothing of the agent's own but PATH.

    The project's variables come before the defaults of PATH and LANG, and after what only the
    host can know.

    Args:
        variables: Those of the project.
        directory: Holds its private ``home`` and ``tmp``.
    """
    project, _, name = scope.partition("/")
    return {
        "PATH": search_path(os.environ.get("PATH", _PATH)),
        "LANG": "C.UTF-8",
        **variables,
        "HOME": str(directory / "home"),
        "TMPDIR": str(directory / "tmp"),
        "TURNOUT_PROJECT": project,
        "TURNOUT_ENVIRONMENT": name,
        "TURNOUT_RELEASE": release,
    }


def search_path(inherited: str) -> str:
    """Return the PATH for apps: the agent's own, less the environment that Turnout runs in.

    An app that found Turnout's Python would live on Turnout's libraries by accident, and break
    with the next version of Turnout.
    """
    if sys.prefix == sys.base_prefix:
        return inherited
    own = Path(sys.prefix, "bin")
    return os.pathsep.join(
        part for part in inherited.split(os.pathsep) if part and Path(part) != own
    )
