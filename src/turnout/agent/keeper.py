"""The keeper: a small program that owns one instance of a server app from start to end.

It also runs a command once (a spec that names a ``begun`` file): that file is made before the
command begins, so that no keeper ever begins it again.

Run by :mod:`turnout.agent.keepers` as ``python -I -S`` in a session of its own, with the
standard library only, so that it stays small and outlives the agent.  It holds the app's pipes, writes its
log, starts it again when it exits, and reports in a status file.  While it lives it holds a
lock; SIGTERM ends the app, then the keeper.  One thread, so that forking is safe and
``PR_SET_PDEATHSIG`` means the keeper's own death.
"""

# ruff: noqa: PTH105, PTH108, PTH120, PTH123
# pathlib would cost the keeper of every instance a megabyte.

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import selectors
import signal
import time
from typing import Any

from turnout.agent import offspring
from turnout.agent.keeplog import Lines, Log

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
"""Seconds before a restart: doubled with each crash."""
STEADY_AFTER = 10.0
"""Seconds of running after which an exit is no part of a crash loop."""
MEMORY_EVERY = 0.5


def main(arguments: list[str]) -> int:
    """Keep the instance that the file ``arguments[1]`` describes; return the exit code."""
    with open(arguments[1], encoding="utf-8") as file:
        spec = json.load(file)["keeper"]
    lock = _locked(spec["lock"])
    if lock is None:
        return errno.EAGAIN
    if spec.get("begun") and not _is_first(spec["begun"]):
        return errno.EEXIST
    Keeper(spec).run()
    return 0


class Keeper:
    """The life of one instance."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._log = Log(spec["logs"])
        self._selector = selectors.DefaultSelector()
        self._streams: dict[int, tuple[str, Lines]] = {}
        self._pid = 0
        self._stopping = False
        self._kill_at: float | None = None
        self._start_at: float | None = None
        self._memory_at = 0.0
        self._steady_at = 0.0
        self._finished = False
        self._once = bool(spec.get("begun"))
        self._began_at = 0.0
        self._expires_at: float | None = None
        self._known = False
        self._status: dict[str, Any] = {
            "state": "starting",
            "keeper": os.getpid(),
            "pid": None,
            "ticks": None,
            "restarts": int(spec.get("restarts", 0)),
            "crashes": 0,
            "exit_code": None,
            "started_at": None,
            "error": "",
            "timed_out": False,
            "took_s": 0.0,
        }

    def run(self) -> None:
        """Keep the app until SIGTERM, until its port turns out to be taken, or once to its end."""
        reader = _wake_on_signals(self._on_signal)
        self._selector.register(reader, selectors.EVENT_READ)
        offspring.adopt_orphans()
        self._start()
        _announce()
        while not self._finished:
            for key, _ in self._selector.select(self._patience()):
                if key.fd == reader:
                    os.read(reader, 4096)
                else:
                    self._read(key.fd)
            self._reap()
            self._tick()
        for reader in list(self._streams):
            self._read(reader)
            if reader in self._streams:
                self._close(reader)
        taken = self._status["state"] == "port-taken"
        self._report("port-taken" if taken else "ended" if self._known else "stopped")

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGTERM:
            self._stopping = True

    def _patience(self) -> float | None:
        waits = (self._kill_at, self._start_at, self._expires_at)
        times = [at for at in waits if at is not None]
        if self._pid and self._spec.get("memory_bytes") and not self._spec.get("cgroup"):
            times.append(self._memory_at)
        if self._status["crashes"] and self._pid:
            times.append(self._steady_at)
        if self._stopping and self._kill_at is None:
            return 0.0
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _tick(self) -> None:
        now = time.monotonic()
        if self._expires_at is not None and now >= self._expires_at:
            self._expires_at = None
            self._note(f"still running after {self._spec['timeout']:g} s: ended")
            self._status["timed_out"] = self._stopping = True
        if self._stopping and self._kill_at is None:
            self._stop(now)
        if self._stopping:
            self._start_at = None
            if self._kill_at is not None and now >= self._kill_at:
                if self._pid:
                    self._note("still running after its grace: killed")
                offspring.kill_descendants()
                self._reap()
            if not self._pid and not offspring.descendants():
                self._finished = True
            elif self._kill_at is not None and now >= self._kill_at:
                self._kill_at = now + 0.05
            return
        if self._pid and self._status["crashes"] and now >= self._steady_at:
            self._status["crashes"] = 0
            self._report("running")
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._start()
        if self._pid and now >= self._memory_at:
            self._memory_at = now + MEMORY_EVERY
            self._watch_memory()

    def _start(self) -> None:
        port, path = self._spec.get("port"), self._spec.get("socket")
        if port and not offspring.port_is_free(port):
            self._note(f"port {port} is taken by another program")
            self._status["state"] = "port-taken"
            self._finished = True
            return
        if path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._status.update(error="", started_at=time.time())
        pipes = {"out": os.pipe2(os.O_CLOEXEC), "err": os.pipe2(os.O_CLOEXEC)}
        pid, problem = offspring.launch(self._spec, pipes["out"][1], pipes["err"][1])
        for stream, (reader, writer) in pipes.items():
            os.close(writer)
            os.set_blocking(reader, False)
            self._streams[reader] = (stream, Lines())
            self._selector.register(reader, selectors.EVENT_READ)
        self._pid = pid
        self._began_at = time.monotonic()
        if self._once:
            self._expires_at = self._began_at + float(self._spec["timeout"])
        self._steady_at = time.monotonic() + STEADY_AFTER
        self._memory_at = time.monotonic() + MEMORY_EVERY
        if problem:
            self._status["error"] = f"the command cannot be executed: {problem}"
            self._note(self._status["error"])
        else:
            self._note(f"started as process {pid}")
        self._report("running", pid=pid, ticks=offspring.ticks(pid))

    def _reap(self) -> None:
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._exited(os.waitstatus_to_exitcode(code))

    def _exited(self, code: int) -> None:
        steady = time.monotonic() >= self._steady_at
        self._pid = 0
        if not self._stopping:
            # What the app left behind would hold its port and its pipes.
            offspring.kill_descendants()
        for reader in list(self._streams):
            self._read(reader)
            if reader in self._streams and not self._stopping:
                self._close(reader)
        self._status["exit_code"] = code
        if self._once:
            self._ended()
            return
        if self._stopping:
            self._note(f"ended, {_how(code)}")
            self._report("stopping", pid=None, ticks=None)
            return
        crashes = 1 if steady else self._status["crashes"] + 1
        pause = min(FIRST_PAUSE * 2 ** (crashes - 1), LONGEST_PAUSE)
        self._note(f"exited, {_how(code)}; starts again in {pause:g} s")
        self._status.update(crashes=crashes, restarts=self._status["restarts"] + 1)
        self._start_at = time.monotonic() + pause
        self._report("exited", pid=None, ticks=None)

    def _ended(self) -> None:
        """Note how a command ended; what somebody else stopped half-way did not end by itself."""
        self._expires_at = None
        self._status["took_s"] = round(time.monotonic() - self._began_at, 3)
        self._known = not self._stopping or self._status["timed_out"]
        self._finished = not self._stopping

    def _stop(self, now: float) -> None:
        grace = float(self._spec["stop_grace"])
        try:
            with open(self._spec["stop"], encoding="utf-8") as file:
                grace = float(json.load(file)["grace"])
        except (OSError, ValueError, KeyError):
            pass  # nobody asked for another grace
        self._kill_at = now + grace
        if self._pid:
            self._report("stopping")
            for pid in offspring.descendants():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM)

    def _read(self, reader: int) -> None:
        stream, lines = self._streams[reader]
        # Bounded, so that a flood on one stream starves neither the other nor the timers.
        for _ in range(32):
            try:
                data = os.read(reader, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._close(reader)
                return
            if texts := lines.feed(data):
                self._log.write(stream, texts)

    def _close(self, reader: int) -> None:
        stream, lines = self._streams.pop(reader)
        if texts := lines.end():
            self._log.write(stream, texts)
        self._selector.unregister(reader)
        os.close(reader)

    def _watch_memory(self) -> None:
        limit = self._spec.get("memory_bytes")
        if not limit or self._spec.get("cgroup"):
            return
        used = sum(offspring.resident(pid) for pid in offspring.descendants())
        if used > limit:
            self._note(f"used {used >> 20} MiB, more than its {limit >> 20} MiB: killed")
            offspring.kill_descendants()

    def _note(self, text: str) -> None:
        self._log.write("turnout", [text])

    def _report(self, state: str, **facts: Any) -> None:
        self._status.update(facts, state=state)
        path = self._spec["status"]
        with contextlib.suppress(OSError):
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump(self._status, file)
            os.replace(f"{path}.new", path)


def _locked(path: str) -> int | None:
    """Return a descriptor that holds the lock; the agent may be looking at it, so try a while."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(100):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
    return None


def _is_first(path: str) -> bool:
    """Return whether *path* was not there; it is on the disk before the command begins."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _wake_on_signals(handler: Any) -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, handler)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return reader


def _announce() -> None:
    """Tell the agent, which waits on our standard output, that the status can be read."""
    with contextlib.suppress(OSError):
        os.write(1, b"kept\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
