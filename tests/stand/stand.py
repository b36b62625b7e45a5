"""A whole Turnout in a directory of its own: the server, its agent, router, origin and apps."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stand import mutants, processes, zygote
from tests.stand.ports import free_port
from tests.stand.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("turnout")
READY_S = 60.0
_WELL_S = 0.1
_QUICK_ENDS = 20
"""So many servers in a row that end before they can have served: it does not start at all."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    document: Any
    said: str
    out: str
    seconds: float


@dataclass
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Stand:
    """One server that a test may start, stop and kill.

    Attributes:
        forked: Start servers out of a process that has everything imported; for crash tests.
        mutants: Faults of :mod:`tests.stand.mutants` to put into forked servers.
        data_at: Where the data directory is, if not under :attr:`base`.
        options: Further arguments of ``turnout up``.
    """

    forked: bool = False
    mutants: tuple[str, ...] = ()
    data_at: Path | None = None
    options: tuple[str, ...] = ()
    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="turnout-stand-")))
    starts: int = 0

    def __post_init__(self) -> None:
        self.data = self.data_at or self.base / "data"
        self.port, self.http_port = free_port(), free_port()
        self.api = f"http://127.0.0.1:{self.port}"
        self.failpoints = self.base / "failpoints"
        run = self.base / "run"
        run.mkdir(mode=0o700)
        kept = {"PATH", "HOME", "LANG"}
        self.environment = {name: text for name, text in os.environ.items() if name in kept}
        for name in ("CONFIG", "CACHE", "DATA", "STATE"):
            self.environment[f"XDG_{name}_HOME"] = str(self.base / name.lower())
        self.environment["XDG_RUNTIME_DIR"] = str(run)
        self.environment["TURNOUT_URL"] = self.api
        self._pid: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._zygote: subprocess.Popen[str] | None = None
        self._starting = threading.RLock()

    # The server and its agent

    def start(self, *, wait: bool = True) -> dict[str, Any]:
        """Start the server; return what it says when it is ready."""
        with self._starting:
            self.starts += 1
            out, err = self.base / f"up-{self.starts}.out", self.base / f"up-{self.starts}.err"
            argv = ["up", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
            argv += ["--http", f"127.0.0.1:{self.http_port}", "--json", *self.options]
            environment = self.environment | {"TURNOUT_FAILPOINTS": str(self.failpoints)}
            if self.forked:
                self._pid = self._fork(argv, environment, out, err)
            else:
                with out.open("wb") as stdout, err.open("wb") as stderr:
                    self._child = subprocess.Popen(
                        [PROGRAM, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                        env=environment, cwd=self.base, start_new_session=True,
                    )  # fmt: skip
                self._pid = self._child.pid
        return self.ready(out, err) if wait else {}

    def ready(self, out: Path, err: Path) -> dict[str, Any]:
        """Wait for the server to say that it is ready.

        Raises:
            AssertionError: It ended, or was not ready in time; with what it said.
        """
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError, IndexError):
                said = json.loads(out.read_text().splitlines()[0])
                if said["event"] == "ready":
                    return dict(said)
            if not self.running():
                break
            time.sleep(0.01)
        raise AssertionError(f"turnout up did not get ready: {err.read_text()}{self.logs()}")

    def running(self) -> bool:
        """Return whether the server's process runs."""
        if self._child is not None:
            self._child.poll()
        return self._pid is not None and processes.alive(self._pid)

    @property
    def pid(self) -> int:
        """The process number of the server."""
        assert self._pid is not None, "the server was never started"
        return self._pid

    def stop_server(self, number: int = signal.SIGINT, timeout: float = 30.0) -> int | None:
        """End the server in order, as Ctrl-C does; return its exit code, if it is known."""
        os.kill(self.pid, number)
        eventually(lambda: not self.running(), timeout, "the server did not end")
        return self._reap()

    def agent_pid(self) -> int | None:
        """Return the process number of the agent while it runs."""
        try:
            pid = int(json.loads((self.data / "host" / "agent.json").read_bytes())["pid"])
        except (OSError, ValueError, KeyError):
            return None
        return pid if processes.alive(pid) else None

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Start the server again whenever it is killed, as systemd would, until the end."""
        over = threading.Event()
        trouble: list[BaseException] = []

        def watch() -> None:
            quick = 0
            while not over.is_set():
                try:
                    if not self.running():
                        begun = time.monotonic()
                        self.start(wait=False)
                        self._await_end(_WELL_S)
                        # Kills come one after another, but none of them before it serves.
                        quick = quick + 1 if time.monotonic() - begun < _WELL_S else 0
                        assert quick < _QUICK_ENDS, f"it does not stay up: {self.logs()}"
                    self._await_end(0.2)
                except BaseException as error:
                    trouble.append(error)
                    return

        thread = threading.Thread(target=watch, name="guard", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(10)
            if trouble:
                raise trouble[0]
            if not self.running():
                self.start()

    def end(self) -> None:
        """End everything that this stand started, by pid, and remove its directory."""
        for handle in (self._zygote, self._child):
            if handle is not None:
                handle.kill()
                handle.wait(10)
                for stream in (handle.stdin, handle.stdout):
                    if stream is not None:
                        stream.close()
        processes.end(self.base)
        if self.data_at is not None:
            processes.end(self.data_at)
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # What users do

    def cli(
        self, *argv: str | Path, timeout: float = 120.0, cwd: Path | None = None, stdin: str = ""
    ) -> Ended:
        """Run ``turnout ARGV --json`` and return how it ended."""
        return self.run(*argv, "--json", timeout=timeout, cwd=cwd, stdin=stdin)

    def run(
        self, *argv: str | Path, timeout: float = 120.0, cwd: Path | None = None, stdin: str = ""
    ) -> Ended:
        """Run ``turnout ARGV`` as it is."""
        begun = time.monotonic()
        done = subprocess.run(
            [PROGRAM, *map(str, argv)], input=stdin, env=self.environment, cwd=cwd or self.base,
            capture_output=True, text=True, timeout=timeout, check=False, start_new_session=True,
        )  # fmt: skip
        try:
            document = json.loads(done.stdout)
        except ValueError:
            document = None
        took = time.monotonic() - begun
        return Ended(done.returncode, document, done.stderr, done.stdout, took)

    @property
    def token(self) -> str:
        """The token that the server left for the command line."""
        file = self.base / "config" / "turnout" / "credentials.json"
        return str(json.loads(file.read_text())["logins"][self.api]["token"])

    def ask(
        self,
        path: str = "/",
        host: str = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 20.0,
    ) -> Answer:
        """Ask the router (or another *port*) for *path* on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", port or self.http_port, timeout=timeout
        )
        try:
            sent = {"Host": host or f"127.0.0.1:{port or self.http_port}", **(headers or {})}
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        found = {name.lower(): text for name, text in answer.getheaders()}
        return Answer(answer.status, found, body)

    # What tests look at

    def query(self, text: str, *values: object) -> list[dict[str, Any]]:
        """Read the database of the server, whether it runs or not."""
        connection = sqlite3.connect(f"file:{self.data}/turnout.db?mode=ro", uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(text, values)]
        finally:
            connection.close()

    def processes(self) -> list[processes.Found]:
        """Return every process of this stand."""
        found = processes.of(self.base)
        if self.data_at is not None:
            known = {one.pid for one in found}
            found += [one for one in processes.of(self.data_at) if one.pid not in known]
        zygote = self._zygote.pid if self._zygote else None
        return [one for one in found if one.pid != zygote]

    def logs(self, lines: int = 30) -> str:
        """Return the last lines of the server's and the agent's logs, for failing tests."""
        parts = []
        for path in (self.data / "server.log", self.data / "host" / "agent.log"):
            with contextlib.suppress(OSError):
                text = path.read_text(errors="replace").splitlines()[-lines:]
                parts.append("\n".join([f"--- {path.name}", *text]))
        return "\n".join(parts)

    def _fork(
        self, argv: Sequence[str], environment: Mapping[str, str], out: Path, err: Path
    ) -> int:
        if self._zygote is None:
            self._zygote = subprocess.Popen(
                [sys.executable, "-m", "tests.stand.zygote", str(self.base)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
                env=self.environment | {"PYTHONPATH": str(REPOSITORY)}, start_new_session=True,
            )  # fmt: skip
            assert self._zygote.stdout is not None
            assert self._zygote.stdout.readline() == "ready\n"
        environment = {**environment, mutants.STAND: str(self.base), mutants.DATA: str(self.data)}
        with out.open("wb") as stdout, err.open("wb") as stderr:
            outputs = (stdout.fileno(), stderr.fileno())
            return zygote.fork(self.base, "server", argv, environment, self.mutants, outputs)

    def _await_end(self, seconds: float) -> None:
        """Wait until the server ends, at most so long."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            select.select([handle], [], [], seconds)
        finally:
            os.close(handle)

    def _reap(self) -> int | None:
        if self._child is None:
            return None
        return self._child.wait(10)
