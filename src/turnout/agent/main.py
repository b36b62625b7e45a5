"""The agent as a program: one process on a host, that comes and goes while what it runs stays."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from turnout.agent import doors, records
from turnout.agent.app import Authenticate, Closing, build_app
from turnout.agent.host import Agent
from turnout.agent.listening import listen, server
from turnout.agent.origin import StaticOrigin
from turnout.agent.paths import Layout
from turnout.base import logs
from turnout.base.errors import Conflict, InvalidInput
from turnout.base.installed import installed
from turnout.base.rundir import private_directory
from turnout.packages.buffers import keep_small, one_arena
from turnout.routers.envoy import EnvoyRouter

THREADS = 32

_log = structlog.get_logger()


def run(
    data: Path, socket: Path, host: str, http: tuple[str, int], token_file: Path | None = None
) -> None:
    """Serve the wire protocol of one host until SIGTERM or SIGINT.

    Instances, Envoy and Caddy go on when it ends, and are adopted when it starts again.

    Args:
        data: Its data directory; one agent at a time.
        socket: Where it listens; the directory is the run directory.
        host: The host's name.
        http: Address and port of the router.
        token_file: Holds a token that peers must show; None where the socket's mode is enough.

    Raises:
        Conflict: Another agent runs on this data, or the router's port is taken.
        Failed: The router or the static origin cannot start.
    """
    one_arena()
    os.umask(0o077)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = data.resolve()
    layout = Layout(data, private_directory(socket.parent).resolve())
    with _only_one(layout.lock):
        logs.configure(file=layout.log)
        try:
            asyncio.run(_run(layout, layout.run / socket.name, host, http, _guard(token_file)))
        except Exception as error:
            _log.error("agent.failed", why=str(error), exc_info=True)
            raise


async def _run(
    layout: Layout, socket: Path, host: str, http: tuple[str, int], authenticate: Authenticate
) -> None:
    loop = asyncio.get_running_loop()
    # The default of a few threads would let long copies hold up short looks at the disk.
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "work"))
    router = EnvoyRouter(layout.envoy, layout.run, http)
    origin = StaticOrigin(layout.caddy, layout.run, layout.sites)
    agent = Agent(host, layout, http, router, origin)
    await agent.begin()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    serving = server(build_app(agent, authenticate, Closing(ending.wait)))
    listener = listen(socket)
    tasks = [
        asyncio.create_task(serving.serve(sockets=[listener])),
        asyncio.create_task(agent.keep_up()),
        asyncio.create_task(ending.wait()),
        asyncio.create_task(keep_small()),
    ]
    records.write(
        layout.data / "agent.json",
        {"pid": os.getpid(), "http": f"{http[0]}:{http[1]}", **installed()},
    )
    _announce(f"turnout agent of {host} is ready\n")
    _log.info("agent.ready", host=host, pid=os.getpid(), socket=str(socket))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    _log.info("agent.ending")
    serving.should_exit = True
    socket.unlink(missing_ok=True)
    tasks[1].cancel()
    tasks[3].cancel()
    results = await asyncio.gather(*tasks[:2], return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise Conflict(
                "Another agent runs on this data",
                subject=str(lock.parent),
                why=f"its process is {pid}" if pid else "",
                next_step="Stop it first, or use another data directory.",
                facts={"agent": pid},
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _announce(text: str) -> None:
    """Tell whoever started us that we answer, then keep no hold on their pipe."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode())
    if not os.isatty(1):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.close(null)


def _guard(token_file: Path | None) -> Authenticate:
    if token_file is None:
        return doors.anyone
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "The token file cannot be read", subject=str(token_file), why=str(error)
        ) from None
    if len(token) < 16:
        raise InvalidInput("The token is too short", subject=str(token_file))
    return doors.bearer(token)
