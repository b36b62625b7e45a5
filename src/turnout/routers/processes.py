"""A process that outlives the one that started it, known by the lock that it holds.

The process inherits the descriptor of a locked file and never looks at it.  The kernel drops
the lock when the process ends, however it ends, so "it runs" is a question to the kernel and
a number that some other process got meanwhile is never taken for it.  (POSIX ``flock`` locks
belong to the open file, which a child shares; a pid file alone would prove nothing.)
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turnout.base.errors import Conflict, Failed

_POLL_S = 0.005
_LOOK_S = 0.05

# Forks and leaves, so that init becomes the parent before the program begins.  The program's own
# process writes its id down while it holds the lock, so no moment is left without.
_ORPHAN = """
import json, os, sys, time
lock, output, note, names, *argv = sys.argv[1:]
middle = os.getpid()
pid = os.fork()
if pid:
    os.write(1, b"%d" % pid)
    os._exit(0)
while os.getppid() == middle:
    time.sleep(0.0005)
os.setsid()
os.pwrite(int(lock), json.dumps({"pid": os.getpid(), "note": note}).encode(), 0)
os.dup2(int(output), 1)
os.close(int(output))
# Python itself adds LC_CTYPE in the C locale (PEP 538).
given = {name: os.environ[name] for name in json.loads(names) if name in os.environ}
os.execve(argv[0], argv, given)
"""
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


@dataclass(frozen=True)
class Holder:
    """The process that holds the lock.

    Attributes:
        pid: Its process id; 0 for the moment between locking and starting.
        note: What was written down when it started, for instance a digest of its settings.
    """

    pid: int
    note: str


class Detached:
    """One long-lived process in its own session.

    Args:
        name: What to call it in errors.
        lock: The lock file; its directory must exist.
    """

    def __init__(self, name: str, lock: Path) -> None:
        self.name = name
        self._lock = lock
        self._child = 0

    def holder(self) -> Holder | None:
        """Return the running process, or None if there is none."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if _try_lock(descriptor):
                self._reap()
                return None
            text = os.pread(descriptor, 65536, 0)
        finally:
            os.close(descriptor)
        try:
            document = json.loads(text or b"{}")
            return Holder(int(document.get("pid", 0)), str(document.get("note", "")))
        except (ValueError, AttributeError, TypeError):
            return Holder(0, "")

    def spawn(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: Path,
        note: str = "",
    ) -> int:
        """Start the process and return its id.

        Args:
            argv: The program and its arguments; no shell is involved.
            environment: All of its environment; nothing else is inherited.
            directory: Its working directory.
            output: A file that its standard output and error are appended to.
            note: Remembered for :meth:`holder`.

        Raises:
            Conflict: The lock is held: it runs already.
            Failed: The program cannot be started.
        """
        if not os.access(argv[0], os.X_OK):
            raise self._cannot_start(argv[0], "it is not there or not executable")
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _try_lock(descriptor):
                raise Conflict(f"{self.name} runs already", subject=str(self._lock))
            os.ftruncate(descriptor, 0)
            with os.fdopen(os.open(output, _APPEND, 0o600), "ab") as sink:
                try:
                    child = subprocess.Popen(
                        # Envoy asks the kernel for SIGTERM when its parent dies, so its parent
                        # must be gone before it begins; then it belongs to init.
                        [
                            *(sys.executable, "-I", "-S", "-c", _ORPHAN),
                            *(str(descriptor), str(sink.fileno()), note),
                            *(json.dumps(list(environment)), *argv),
                        ],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=sink,
                        env=dict(environment),
                        cwd=directory,
                        pass_fds=(descriptor, sink.fileno()),
                        start_new_session=True,
                        umask=0o077,
                    )
                    said, _ = child.communicate()
                    pid = int(said)
                except OSError as error:
                    raise self._cannot_start(argv[0], error.strerror or str(error)) from error
        finally:
            os.close(descriptor)
        _raise_file_limit(pid)
        return pid

    def _cannot_start(self, program: str, why: str) -> Failed:
        return Failed(
            f"{self.name} cannot be started",
            subject=program,
            why=why,
            next_step="Run `turnout doctor` to see which binary is used and why.",
        )

    def take_place_of(self, other: Detached, kept: Detached) -> None:
        """Make this process the one that *other* is asked for; its former one goes to *kept*.

        Locks belong to open files and not to names, so names can change hands.  At no moment
        does *other* stand for no process.  It may be done again after it was cut off half way.
        """
        kept._lock.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            kept._lock.hardlink_to(other._lock)
        self._lock.replace(other._lock)

    def forget(self) -> None:
        """Remove the lock file of a process that has ended."""
        if self.holder() is None:
            self._lock.unlink(missing_ok=True)

    async def end(self, grace_s: float) -> None:
        """Send SIGTERM, wait, then SIGKILL; return when the process is gone.

        Args:
            grace_s: Seconds between the two signals.

        Raises:
            Failed: It survives even SIGKILL (stuck in the kernel), or its id is not known.
        """
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
            holder = self.holder()
            if holder is None:
                return
            if holder.pid > 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(holder.pid, number)
            if await self.wait_gone(wait_s):
                return
        raise Failed(
            f"{self.name} does not end",
            subject=str(self._lock),
            next_step="See which process has this file open, and end it.",
        )

    async def ended(self) -> None:
        """Return as soon as the process has ended, at once if none runs.

        Linux tells it the moment it happens (``pidfd_open(2)``); elsewhere it is looked for.
        """
        holder = self.holder()
        if holder is None:
            return
        try:
            descriptor = os.pidfd_open(holder.pid)
        except (AttributeError, OSError):
            while self.holder() is not None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_LOOK_S)
            return
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, over.set)
        try:
            # The number may have become another process's before it was opened.
            if self.holder() is not None:
                await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def wait_gone(self, timeout_s: float) -> bool:
        """Return whether the process ended within *timeout_s* seconds."""
        deadline = time.monotonic() + timeout_s
        while self.holder() is not None:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _reap(self) -> None:
        """Collect our own child once it has ended, so that no zombie stays."""
        if self._child:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._child, os.WNOHANG)
            # Once only: the number may come again for a child that is not ours to collect.
            self._child = 0


def last_lines(path: Path, limit_bytes: int = 4096) -> str:
    """Return the end of a log, at most *limit_bytes*, or nothing if there is no log."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit_bytes))
            return stream.read(limit_bytes).decode(errors="replace")
    except OSError:
        return ""


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _raise_file_limit(pid: int) -> None:
    """Give the process as many descriptors as the host allows: each request needs two."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
