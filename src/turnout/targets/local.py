"""The agent of this machine: started if it does not run, renewed if another installation's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from turnout.base import failpoints
from turnout.base.errors import Conflict, Failed, TurnoutError, Unreachable, from_document
from turnout.base.installed import installed
from turnout.targets.agent_host import AgentHost

DEADLINE = 60.0
"""Seconds that the agent gets to answer after it was started."""

# What an agent needs of its environment, and nothing that might hold a secret.
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR"),
    *("TURNOUT_ENVOY", "TURNOUT_CADDY", failpoints.VARIABLE),
)


def agent_socket(run_dir: Path) -> Path:
    """Return where the agent with that run directory listens."""
    return run_dir / "agent.sock"


async def ensure_agent(
    data: Path, run_dir: Path, host: str, http: tuple[str, int], *, renew: bool = True
) -> None:
    """Make the agent of this machine run and answer.

    An agent of another installation (version, interpreter or place), or with another address for
    the sites, is ended and replaced; what it runs goes on meanwhile.

    Args:
        data: The agent's data directory.
        run_dir: Its run directory, as :func:`turnout.base.rundir.run_directory` gives it.
        host: The host's name.
        http: Address and port on which it serves the sites.
        renew: Whether to replace one of another installation.  A server that goes on running
            while its own files are replaced must not: the agent that it starts would be another
            one every time.

    Raises:
        Conflict: The port of the sites is taken.
        Failed: It cannot start; the message holds what it said.
    """
    socket = agent_socket(run_dir)
    pid = await _answering(host, socket)
    if pid is not None:
        if not renew or _is_as_wanted(data, pid, http):
            return
        await _end(pid)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    output = data / "agent.out"
    process = await asyncio.to_thread(_spawn, data, socket, host, http, output)
    try:
        said = await asyncio.to_thread(_first_line, process, DEADLINE)
    finally:
        assert process.stdout is not None
        process.stdout.close()
    code = process.poll()
    error = _told(said)
    if said and error is None:
        return
    # Somebody else may have started one at the same moment; then that one will do.
    if isinstance(error, Conflict) and "agent" in error.facts:
        if await _answering_soon(host, socket):
            return
    elif error is not None:
        raise error
    raise Failed(
        "The agent of this machine cannot start",
        subject=str(data),
        why=_tail(output) or _tail(data / "agent.log") or _how(code),
        next_step=f"See {data / 'agent.log'}.",
        facts={"exit_code": code},
    )


async def stop_agent(run_dir: Path, host: str) -> None:
    """End the agent of this machine; what it runs goes on."""
    pid = await _answering(host, agent_socket(run_dir))
    if pid is not None:
        await _end(pid)


async def _answering(host: str, socket: Path) -> int | None:
    agent = AgentHost(host, socket)
    try:
        async with asyncio.timeout(5.0):
            return (await agent.hello()).pid
    except (Unreachable, TimeoutError):
        return None
    finally:
        await agent.close()


async def _answering_soon(host: str, socket: Path) -> bool:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if await _answering(host, socket) is not None:
            return True
        await asyncio.sleep(0.05)
    return False


def _is_as_wanted(data: Path, pid: int, http: tuple[str, int]) -> bool:
    try:
        known = json.loads((data / "agent.json").read_bytes())
    except (OSError, ValueError):
        return False  # it writes this before it answers: its data is no longer that of the path
    wanted = {"pid": pid, "http": f"{http[0]}:{http[1]}", **installed()}
    return bool(known.get("pid") != pid or known == wanted)


async def _end(pid: int) -> None:
    """End an agent of ours and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + 15.0
    while _runs(pid):
        if time.monotonic() > until:
            raise Failed(
                "The agent that runs does not end",
                subject=str(pid),
                next_step="End it by hand; what it runs goes on.",
            )
        await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)  # if it is a child of ours, its ending is ours to collect
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _spawn(
    data: Path, socket: Path, host: str, http: tuple[str, int], output: Path
) -> subprocess.Popen[bytes]:
    arguments = {
        "--data": str(data),
        "--socket": str(socket),
        "--host": host,
        "--http": f"{http[0]}:{http[1]}",
    }
    argv = [sys.executable, "-m", "turnout.agent"]
    argv += [part for pair in arguments.items() for part in pair]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with output.open("wb") as sink:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=environment,
            cwd=data,
            start_new_session=True,
            umask=0o077,
        )


def _first_line(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Return what the agent says when it is ready; nothing if it ends or takes too long."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    ready, _, _ = select.select([handle], [], [], deadline)
    said = os.read(handle, 65536) if ready else b""
    if not said or said.startswith(b"{"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
    return said


def _told(said: bytes) -> TurnoutError | None:
    """Return the error that an agent gave as its first line, if it was one."""
    if not said.startswith(b"{"):
        return None
    try:
        return from_document(json.loads(said))
    except ValueError:
        return Failed("The agent of this machine cannot start")


def _tail(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return " / ".join(text.splitlines()[-3:])[-1000:]


def _how(code: int | None) -> str:
    return "it does not answer" if code is None else f"it ended with code {code}"
