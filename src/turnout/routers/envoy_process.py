"""The Envoy process of one data directory: started, adopted, renewed, watched and ended.

Three locks: one for the process that serves, one for a successor that is about to take over,
and one for a predecessor that still finishes requests.  A hot restart that was cut off in the
middle is completed or cleared away by the next :meth:`EnvoyProcess.ensure`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnout.base.errors import Conflict, TurnoutError, Unreachable
from turnout.routers import programs
from turnout.routers.envoy_admin import Admin
from turnout.routers.envoy_command import (
    PARENT_SHUTDOWN_S,
    Note,
    admin_socket,
    argv,
    listen,
    note,
    read_note,
    shared_memory,
)
from turnout.routers.envoy_faults import no_handover, no_start
from turnout.routers.envoy_logs import Logs
from turnout.routers.files import replace_file
from turnout.routers.processes import Detached

START_TIMEOUT_S = 20.0
_POLL_S = 0.005
_QUIET_POLL_S = 0.1
_STOP_GRACE_S = 3.0
# A predecessor has closed its listeners; what it still has under way is lost either way.
_CLEAR_GRACE_S = 0.3


class EnvoyProcess:
    """Envoy with its admin socket, logs and shared memory.

    Args:
        state_dir: Where configuration and logs stand.
        run_dir: Where sockets and locks stand; its path must be short.
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
        name = "The router (Envoy)"
        self._process = Detached(name, run_dir / "envoy.lock")
        self._successor = Detached(name, run_dir / "envoy.next.lock")
        self._predecessor = Detached(name, run_dir / "envoy.old.lock")
        self.admin = Admin(admin_socket(run_dir))
        self.logs = Logs(state_dir, self.admin)

    def running(self) -> bool:
        """Return whether the process exists, whatever its health."""
        return self._process.holder() is not None

    async def ended(self) -> None:
        """Return as soon as the process that serves has ended, at once if none does."""
        await self._process.ended()

    def draining(self) -> bool:
        """Return whether a predecessor still has requests to finish."""
        return self._predecessor.holder() is not None

    def note(self) -> Note | None:
        """Return what is remembered of the process that serves."""
        holder = self._process.holder()
        return None if holder is None else read_note(holder.note)

    def outdated(self) -> bool:
        """Return whether it runs with a configuration or version that is not today's."""
        found = self.note()
        if found is None:
            return False
        version = "-"
        with contextlib.suppress(TurnoutError):
            binary = programs.find(programs.ENVOY, self._binary).path
            version = programs.version(programs.ENVOY, binary)
        return found.version == "-" or found.differs(note(self._config, version, ""))

    async def ensure(self) -> None:
        """Adopt the process that runs, or start one; return when it serves.

        One that listens on another address than today's is replaced.  One that differs in
        anything else stays; see :meth:`outdated`.

        Raises:
            Conflict: Its port is taken.
            Failed: It cannot start; the message names the cause if Envoy's log does.
        """
        await self._settle()
        found = self.note()
        if found is not None:
            moved = found.listen != listen(self._config)
            if not moved and await self._serves_in_time(self._process):
                await self.logs.trim()
                return
            await self.end()
        await self._start()

    async def renew(self) -> Note:
        """Start a process that takes over from the one that serves (a hot restart).

        Envoy hands its listening socket over, so no connection attempt fails; see
        https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/operations/hot_restart

        Returns:
            What is remembered of the new one.

        Raises:
            Failed: The new one did not take over; the old one goes on.
        """
        await self._settle()
        old = self.note()
        if old is None or old.listen != listen(self._config):
            why = "it does not run" if old is None else f"it serves {old.listen} so far"
            raise self._no_handover(why, "Start it; nothing is lost then that is not lost yet.")
        await self._require_quiet(old)
        binary, new = await self._successor_of(old)
        began_at = self.logs.size()
        self._spawn(self._successor, binary, new)
        if not await self._serves_in_time(self._successor, new.epoch):
            said = self.logs.said_since(began_at)
            await self._successor.end(0)
            self._successor.forget()
            raise self._no_handover(said or "it did not come to serve", f"See {self.logs.process}.")
        # The old one ends its own predecessor when it is succeeded.  We never may: it talks to
        # that one every second, and ends itself when it finds nobody there.
        if not await self._predecessor.wait_gone(_STOP_GRACE_S):
            await self._predecessor.end(0)
        self._successor.take_place_of(self._process, self._predecessor)
        return new

    async def end(self) -> None:
        """End every process and remove what they leave behind."""
        for one in (self._successor, self._process, self._predecessor):
            await one.end(_STOP_GRACE_S)
        for one in (self._successor, self._predecessor):
            one.forget()
        left = (admin_socket(self._run_dir), shared_memory(self._state_dir))
        for path in (*left, *self._run_dir.glob("envoy_*")):
            with contextlib.suppress(OSError):
                path.unlink()

    async def _settle(self) -> None:
        """Complete or clear away a hot restart that was cut off in the middle."""
        holder = self._successor.holder()
        if holder is not None:
            epoch = read_note(holder.note).epoch
            if await self._serves_in_time(self._successor, epoch):
                self._successor.take_place_of(self._process, self._predecessor)
            else:
                await self._successor.end(0)
        self._successor.forget()
        if not self.running():
            # It listens no more, but a start from nothing needs the names of its sockets.
            await self._predecessor.end(_CLEAR_GRACE_S)
        self._predecessor.forget()

    async def _start(self) -> None:
        binary = programs.find(programs.ENVOY, self._binary).path
        version = await asyncio.to_thread(programs.require_version, programs.ENVOY, binary)
        with contextlib.suppress(FileNotFoundError):
            admin_socket(self._run_dir).unlink()
        began_at = self.logs.size()
        # Another object over this directory may be quicker: then it is that one's process.
        with contextlib.suppress(Conflict):
            self._spawn(self._process, binary, note(self._config, version, _now()))
        if not await self._serves_in_time(self._process):
            exited = not self.running()
            said = self.logs.said_since(began_at)
            await self.end()
            raise no_start(listen(self._config), self.logs.process, said, exited)

    async def _require_quiet(self, serving: Note) -> None:
        """Refuse to end a predecessor that still has connections: a third one would end it."""
        if not self.draining():
            return
        counted = "server.parent_connections"
        # Envoy counts them once a second.
        deadline = time.monotonic() + 1.5
        while left := (await self.admin.stats(f"^{counted}$")).get(counted, 0):
            if time.monotonic() >= deadline:
                ends_s = max(1, round(PARENT_SHUTDOWN_S - serving.age_s(time.time_ns())))
                raise self._no_handover(
                    f"the process before the one that serves still has {left} connections open",
                    f"Try again when they have ended; in {ends_s} s that process ends anyway.",
                )
            await asyncio.sleep(_QUIET_POLL_S)

    async def _successor_of(self, old: Note) -> tuple[Path, Note]:
        """Return the program and the note of a process that can take over from *old*."""
        binary = programs.find(programs.ENVOY, self._binary).path
        version = await asyncio.to_thread(programs.require_version, programs.ENVOY, binary)
        theirs = await self.admin.hot_restart_version()
        ours = await asyncio.to_thread(programs.hot_restart_version, binary)
        if ours != theirs:
            raise self._no_handover(
                f"Envoy {version} cannot take over from {old.version}: its hot restart version"
                f" is {ours}, the other's {theirs}",
                "Stop and start the router at a quiet moment; that cuts requests under way.",
            )
        fresh = note(self._config, version, _now())
        return binary, replace(fresh, epoch=old.epoch + 1)

    def _spawn(self, process: Detached, binary: Path, new: Note) -> None:
        config = self._state_dir / "bootstrap.json"
        replace_file(config, json.dumps(self._config, indent=1).encode())
        process.spawn(
            argv(binary, config, self._state_dir, self._run_dir, self.logs.process, new.epoch),
            environment={"PATH": "/usr/bin:/bin"},
            directory=self._state_dir,
            output=self.logs.process,
            note=str(new),
        )

    async def _serves_in_time(self, process: Detached, epoch: int = -1) -> bool:
        """Return whether *process* came to serve; with *epoch*, whether that one did."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if await self._serves(epoch):
                return True
            if process.holder() is None:
                return False
            await asyncio.sleep(_POLL_S)
        return False

    async def _serves(self, epoch: int) -> bool:
        if epoch < 0:
            return await self.admin.live()
        try:
            if await self.admin.epoch() != epoch:
                return False
            started = "listener_manager.workers_started"
            return (await self.admin.stats(f"^{started}$")).get(started) == 1
        except Unreachable:
            # The old one closes its admin interface before the new one opens its own.
            return False

    def _no_handover(self, why: str, next_step: str) -> TurnoutError:
        return no_handover(listen(self._config), why, next_step)


def _now() -> str:
    return f"{time.time_ns():x}"
