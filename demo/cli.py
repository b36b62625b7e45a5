"""The `turnout` executable as the demo uses it: JSON in, documents and exit codes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_S = 60.0
"""What a first start may take: keys, database, agent, Envoy and Caddy."""

LONGEST_HOME = 40
"""Sockets below a longer path would not fit into the 103 bytes of a socket's name."""

STOP_S = 45.0
"""What an orderly end may take, the drain of the apps included."""


class DemoError(Exception):
    """Something that ends the demo; the text tells the reader what."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        exit_code: As the command-line contract defines it.
        document: What it printed on stdout; empty if that was no JSON object.
        said: What it printed on stderr.
        began: When it was started, in seconds of ``time.monotonic()``.
        seconds: How long it took.
    """

    exit_code: int
    document: dict[str, Any]
    said: str
    began: float
    seconds: float

    @property
    def status(self) -> str:
        return str(self.document.get("status", ""))

    @property
    def release(self) -> str:
        return str(self.document.get("release", ""))

    @property
    def reason(self) -> str:
        """Why it ended as it did, from the document or else from stderr."""
        told = self.document.get("reason") or self.document.get("detail") or self.said
        return str(told).strip()


@dataclass
class Turnout:
    """A server of the demo's own, and commands to it.

    Attributes:
        program: The executable.
        home: The temporary directory that holds data, configuration and caches.
        environment: The whole environment of every command.
    """

    program: str
    home: Path
    environment: Mapping[str, str]
    server: Process | None = None
    api: str = ""

    @property
    def data(self) -> Path:
        return self.home / "data"

    async def up(self, listen: str, http: str, *, stop_apps: bool) -> dict[str, Any]:
        """Start the server and return what it says once it is ready.

        Raises:
            DemoError: It ended, or was not ready in time.
        """
        log = (self.home / "server.log").open("wb")
        argv = ["up", "--data", str(self.data), "--listen", listen, "--http", http, "--json"]
        with log:
            self.server = await asyncio.create_subprocess_exec(
                self.program,
                *argv,
                *(["--stop-apps"] if stop_apps else []),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C is the demo's to hand on
            )
        assert self.server.stdout is not None
        try:
            line = await asyncio.wait_for(self.server.stdout.readline(), READY_S)
            facts: dict[str, Any] = json.loads(line)
            self.api = str(facts["api"])
        except (TimeoutError, ValueError, KeyError):
            raise DemoError(f"turnout up did not get ready:\n{self.server_log()}") from None
        return facts

    async def run(self, *argv: str) -> Outcome:
        """Run a command against the server and wait for its end."""
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            self.program,
            *argv,
            "--json",
            "--server",
            self.api,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=self.environment,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        assert process.returncode is not None
        return Outcome(
            process.returncode,
            _object(out),
            err.decode(errors="replace"),
            began,
            time.monotonic() - began,
        )

    async def told(self, *argv: str, width: int) -> str:
        """Return what a command prints for people, on lines of *width* characters."""
        process = await asyncio.create_subprocess_exec(
            self.program,
            *argv,
            "--server",
            self.api,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**self.environment, "COLUMNS": str(width)},
            start_new_session=True,
        )
        out, _ = await process.communicate()
        return out.decode(errors="replace")

    async def down(self) -> None:
        """End the server as Ctrl-C does, and wait for it."""
        if self.server is None or self.server.returncode is not None:
            return
        self.server.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self.server.wait(), STOP_S)
        except TimeoutError:
            self.server.kill()
            await self.server.wait()

    def server_log(self) -> str:
        """Return the last lines that the server said."""
        with contextlib.suppress(OSError):
            text = (self.home / "server.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-20:])
        return ""


def find(home: Path) -> Turnout:
    """Return the executable of this environment, with directories of its own under *home*.

    Raises:
        DemoError: There is none.
    """
    beside = Path(sys.executable).with_name("turnout")
    program = str(beside) if beside.exists() else shutil.which("turnout")
    if program is None:
        raise DemoError("The turnout executable was not found; run `make setup` first.")
    environment = {name: text for name, text in os.environ.items() if _harmless(name)}
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        environment[f"XDG_{name}_HOME"] = str(home / name.lower())
    if len(str(home)) <= LONGEST_HOME:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        environment["XDG_RUNTIME_DIR"] = str(runtime)
    return Turnout(program, home, environment)


def _harmless(name: str) -> bool:
    """Settings of the user's own Turnout and proxies do not reach the demo's."""
    return not (name.startswith("TURNOUT_") or name.lower().endswith("_proxy"))


def _object(out: bytes) -> dict[str, Any]:
    try:
        found = json.loads(out)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
