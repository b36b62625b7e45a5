"""The static origin of one host: a Caddy on a unix socket that serves every static release.

It is started once and outlives the agent.  A switch of releases does not touch it: the router
names the tree to serve in a header.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from turnout.agent.origin_config import origin_config
from turnout.base.errors import Conflict, Failed
from turnout.base.rundir import SOCKET_LIMIT
from turnout.routers import programs
from turnout.routers.files import replace_file
from turnout.routers.processes import Detached, last_lines

START_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 5.0
_POLL_S = 0.01
# Caddy waits five seconds for requests under way.
_STOP_GRACE_S = 6.0


class StaticOrigin:
    """Caddy with one fixed configuration.

    Args:
        state_dir: Its own directory for configuration and log; made if missing.
        run_dir: A directory with a short path for the socket and the lock; made if missing.
        sites_dir: Holds ``project/environment/revision/`` trees and ``.bridge`` beside them.
        binary: Which Caddy; by default the one that :func:`turnout.routers.programs.find` finds.
    """

    def __init__(
        self, state_dir: Path, run_dir: Path, sites_dir: Path, binary: Path | None = None
    ) -> None:
        self._state_dir = state_dir
        self._socket = run_dir / "origin.sock"
        self._sites_dir = sites_dir
        self._binary = binary
        self._process = Detached("The static origin (Caddy)", run_dir / "origin.lock")
        # What it says before its configuration names the log, and panics.
        self._output = state_dir / "origin.out"
        self._settings = json.dumps(
            origin_config(self._socket, sites_dir.absolute(), state_dir), indent=1
        )
        self._note = hashlib.sha256(self._settings.encode()).hexdigest()[:12]
        self._turn = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where the router reaches it, as a backend's address."""
        return f"unix:{self._socket}"

    @property
    def outdated(self) -> bool:
        """Whether the process was started with another configuration than today's.

        That is so after an upgrade: it serves on, and a restart at a quiet moment renews it.
        """
        holder = self._process.holder()
        return holder is not None and holder.note != self._note

    async def start(self) -> None:
        """Make it run; adopt it if it runs already.

        Raises:
            Failed: It cannot start (a missing or wrong binary, a path that is too long).
        """
        async with self._turn:
            for directory in (self._state_dir, self._socket.parent, self._sites_dir):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._process.holder() is not None:
                if await self._serves_in_time():
                    return
                await self._process.end(_STOP_GRACE_S)
            await self._launch()

    async def alive(self) -> bool:
        """Return whether it runs and answers."""
        return self._process.holder() is not None and await self._answers()

    async def stop(self) -> None:
        """End it; requests under way get five seconds."""
        async with self._turn:
            await self._process.end(_STOP_GRACE_S)
            self._socket.unlink(missing_ok=True)

    async def _launch(self) -> None:
        if len(os.fsencode(self._socket)) > SOCKET_LIMIT:
            raise Failed(
                "The directory for sockets has too long a path",
                subject=str(self._socket),
                why=f"a socket's path holds at most {SOCKET_LIMIT} bytes",
                next_step="Choose a shorter directory, for instance under /run or /tmp.",
            )
        binary = programs.find(programs.CADDY, self._binary).path
        await asyncio.to_thread(programs.require_version, programs.CADDY, binary)
        config = self._state_dir / "origin.json"
        replace_file(config, self._settings.encode())
        self._socket.unlink(missing_ok=True)
        replace_file(self._output, b"")
        try:
            self._process.spawn(
                [str(binary), "run", "--config", str(config)],
                environment=self._environment(),
                directory=self._state_dir,
                output=self._output,
                note=self._note,
            )
        except Conflict:
            # Another object over this directory was quicker: then it is that one's process.
            pass
        if not await self._serves_in_time():
            await self._process.end(_STOP_GRACE_S)
            raise Failed(
                "The static origin cannot start",
                subject=str(self._socket),
                why=last_lines(self._output, 1500).strip() or "it does not answer",
                next_step=f"See {self._state_dir / 'origin.log'}.",
            )

    def _environment(self) -> dict[str, str]:
        home = str(self._state_dir)
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "XDG_DATA_HOME": home,
        }

    async def _serves_in_time(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if await self._answers():
                return True
            if self._process.holder() is None:
                return False
            await asyncio.sleep(_POLL_S)
        return False

    async def _answers(self) -> bool:
        """Return whether it refuses a request that names no site, as only it does."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(b"HEAD / HTTP/1.1\r\nhost: origin\r\nconnection: close\r\n\r\n")
                    return b" 421 " in await reader.readline()
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, ValueError, TimeoutError):
            return False
