"""The Envoy process of one data directory: started, adopted, watched and ended."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from turnout.base.errors import Conflict, Failed, TurnoutError
from turnout.base.rundir import SOCKET_LIMIT
from turnout.routers import programs
from turnout.routers.envoy_admin import Admin
from turnout.routers.files import replace_file
from turnout.routers.processes import Detached, last_lines

START_TIMEOUT_S = 20.0
LOG_LIMIT_BYTES = 4 * 1024 * 1024
_POLL_S = 0.005
_STOP_GRACE_S = 3.0


class EnvoyProcess:
    """Envoy with its admin socket, log and shared memory.

    Args:
        state_dir: Where configuration and log stand.
        run_dir: Where sockets and the lock stand; its path must be short.
        config: The bootstrap configuration.
        binary: Envoy itself; found by itself if None.
    """

    def __init__(
        self, state_dir: Path, run_dir: Path, config: dict[str, Any], binary: Path | None
    ) -> None:
        self._state_dir = state_dir
        self._run_dir = run_dir
        self._config = config
        self._binary = binary
        self._process = Detached("The router (Envoy)", run_dir / "envoy.lock")
        self._note = f"{_listen(config)} {hashlib.sha256(repr(config).encode()).hexdigest()[:12]}"
        self.log = state_dir / "envoy.log"
        self.admin = Admin(admin_socket(run_dir))

    def running(self) -> bool:
        """Return whether the process exists, whatever its health."""
        return self._process.holder() is not None

    def outdated(self) -> bool:
        """Return whether it runs with a configuration that is not today's."""
        holder = self._process.holder()
        return holder is not None and holder.note != self._note

    async def ensure(self) -> None:
        """Adopt the process that runs, or start one; return when it serves.

        One that listens on another address than today's is replaced.  One that differs in
        anything else stays, since replacing it cuts requests; see :meth:`outdated`.

        Raises:
            Conflict: Its port is taken.
            Failed: It cannot start; the message names the cause if Envoy's log does.
        """
        holder = self._process.holder()
        if holder is not None:
            moved = holder.note.split(" ")[0] != _listen(self._config)
            if not moved and await self._serves_in_time():
                await self.trim_log()
                return
            await self.end()
        await self._start()

    async def end(self) -> None:
        """End the process and remove what it leaves behind."""
        await self._process.end(_STOP_GRACE_S)
        for path in (
            admin_socket(self._run_dir),
            Path("/dev/shm") / f"envoy_shared_memory_{base_id(self._state_dir)}0",  # noqa: S108
            *self._run_dir.glob("envoy_*"),
        ):
            with contextlib.suppress(OSError):
                path.unlink()

    async def trim_log(self) -> None:
        """Move the log aside when it has grown beyond its limit; one old one is kept."""
        with contextlib.suppress(OSError, TurnoutError):
            if self.log.stat().st_size > LOG_LIMIT_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
                await self.admin.reopen_logs()

    async def _start(self) -> None:
        binary = programs.find(programs.ENVOY, self._binary).path
        await asyncio.to_thread(programs.require_version, programs.ENVOY, binary)
        config = self._state_dir / "bootstrap.json"
        replace_file(config, json.dumps(self._config, indent=1).encode())
        with contextlib.suppress(FileNotFoundError):
            admin_socket(self._run_dir).unlink()
        began_at = self.log.stat().st_size if self.log.exists() else 0
        try:
            self._process.spawn(
                self._argv(binary, config),
                environment={"PATH": "/usr/bin:/bin"},
                directory=self._state_dir,
                output=self.log,
                note=self._note,
            )
        except Conflict:
            # Another object over this directory was quicker: then it is that one's process.
            pass
        if not await self._serves_in_time():
            exited = not self.running()
            said = last_lines(self.log, max(0, self.log.stat().st_size - began_at) + 1)
            await self.end()
            raise self._no_start(said, exited)

    def _argv(self, binary: Path, config: Path) -> list[str]:
        return [
            str(binary),
            *("--config-path", str(config)),
            *("--base-id", str(base_id(self._state_dir))),
            *("--socket-path", str(self._run_dir / "envoy")),
            *("--socket-mode", "600"),
            *("--log-level", "warning"),
            *("--log-path", str(self.log)),
            *("--concurrency", str(max(2, min(8, os.cpu_count() or 2)))),
        ]

    async def _serves_in_time(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if await self.admin.live():
                return True
            if not self.running():
                return False
            await asyncio.sleep(_POLL_S)
        return False

    def _no_start(self, said: str, exited: bool) -> TurnoutError:
        listen = _listen(self._config)
        if "Address already in use" in said or "address already in use" in said:
            return Conflict(
                "The router cannot start: its port is taken",
                subject=listen,
                why="another process listens there",
                next_step="End that process, or choose another address with --http HOST:PORT.",
            )
        if "Permission denied" in said and "bind" in said:
            return Failed(
                "The router cannot start: it may not use its port",
                subject=listen,
                why="ports below 1024 need a privilege",
                next_step="Use a port from 1024 on, or allow it with CAP_NET_BIND_SERVICE.",
            )
        return Failed(
            "The router cannot start",
            subject=listen,
            why=said.strip()[-1500:] or ("it ended" if exited else "it does not answer"),
            next_step=f"See {self.log}.",
        )


def admin_socket(run_dir: Path) -> Path:
    """Return where the admin interface listens.

    Raises:
        Failed: The path would not fit into a socket address.
    """
    path = run_dir / "envoy-admin.sock"
    if len(os.fsencode(path)) > SOCKET_LIMIT:
        raise Failed(
            "The directory for sockets has too long a path",
            subject=str(run_dir),
            why=f"a socket's path holds at most {SOCKET_LIMIT} bytes",
            next_step="Choose a shorter directory, for instance under /run or /tmp.",
        )
    return path


def base_id(state_dir: Path) -> int:
    """Return the number that keeps the shared memory of several Envoys on one host apart.

    Envoy multiplies it by ten in 32 bits, so it stays below 2**32 / 10.
    """
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).digest()
    return int.from_bytes(digest[:8], "big") % 400_000_000


def _listen(config: dict[str, Any]) -> str:
    address = config["static_resources"]["listeners"][0]["address"]["socket_address"]
    return f"{address['address']}:{address['port_value']}"
