"""Processes under a keeper: how an app is launched, found, measured and killed.

Used by the keeper, so it needs the standard library only.
"""

# ruff: noqa: PTH118, PTH123, PTH208
# pathlib would cost the keeper of every instance a megabyte.

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36  # from linux/prctl.h
_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Make orphans among our descendants our children, so that they can be found."""
    if _LINUX:
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def launch(spec: dict[str, Any], out: int, err: int) -> tuple[int, str]:
    """Fork and execute the app; return its process id, and why it could not be executed."""
    oops, told = os.pipe2(os.O_CLOEXEC)
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become(spec, keeper, out, err)
        except BaseException as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            os.write(told, f"{spec['argv'][0]}: {why}".encode())
        os._exit(127)
    os.close(told)
    problem = b""
    while part := os.read(oops, 4096):
        problem += part
    os.close(oops)
    return pid, problem.decode(errors="replace")


def parents() -> dict[int, int]:
    """Return the parent of every process of this machine that is no zombie."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))) and fields[0] != "Z":
            found[int(name)] = int(fields[1])
    return found


def descendants() -> list[int]:
    """Return every process under the keeper; as a subreaper it keeps orphans too."""
    return under(os.getpid(), parents())


def under(root: int, parents: dict[int, int]) -> list[int]:
    """Return every process that descends from *root*, by the *parents* of all."""
    found: list[int] = []
    fresh = {root}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh}
        found += sorted(fresh)
    return found


def kill_descendants() -> None:
    """Kill until nothing is left, for a process may fork while the list is read."""
    until = time.monotonic() + 2.0
    while (pids := descendants()) and time.monotonic() < until:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; with its id it names it for ever."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def port_is_free(port: int) -> bool:
    """Return whether nothing listens on *port* at any address of this machine."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound, never listened on
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
    return True


def _become(spec: dict[str, Any], keeper: int, out: int, err: int) -> None:
    os.setsid()
    if _LINUX:
        _LIBC.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != keeper:
            os._exit(1)  # it died before we asked to die with it
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = spec["open_files"]
    files = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the app's secrets
    if spec.get("cgroup"):
        with open(os.path.join(spec["cgroup"], "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")
    os.umask(0o077)
    os.chdir(spec["cwd"])
    os.execvpe(spec["argv"][0], spec["argv"], spec["environment"])  # noqa: S606 - no shell is what we want


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the third (state) on, or nothing."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []
