"""Helping: a second Python process for work on many small files, which threads do not share.

A fork of a process that has threads is not safe, so a fresh interpreter is started, which takes
some 50 ms.  Both ends are one program, so ``marshal`` is as good a format as any, and by far the
fastest.  Messages are frames: a length of 8 bytes, little-endian, and so many bytes, since
``marshal`` reads from a file value by value, which took longer than the work it asked for.  A
helper dies with the one that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import marshal
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: which signal comes when the parent dies."""

_PIPE_BYTES = 1 << 20
"""What a pipe holds, where the system lets us say: fewer times that one side waits for the other."""

_LENGTH = 8

MANY = 8_000
"""Files from which on a helper pays."""


def start(module: str, handles: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` with pipes to its standard input and output.

    Args:
        module: Calls :func:`stay_with_parent` first.
        handles: File descriptors that it inherits under the same numbers.

    Raises:
        OSError: It cannot be started.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        pass_fds=handles,
    )
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            # An ordinary user may have so much of it and no more.
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def send(pipe: IO[bytes], value: Any) -> None:
    """Send *value*, of what ``marshal`` knows, as one frame."""
    send_bytes(pipe, marshal.dumps(value))


def send_bytes(pipe: IO[bytes], data: bytes | bytearray | memoryview) -> None:
    """Send bytes as one frame."""
    pipe.write(len(data).to_bytes(_LENGTH, "little"))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Return the value of the next frame, which must come from our own program.

    Raises:
        EOFError: There is none, or not the whole of it.
    """
    return marshal.loads(receive_bytes(pipe))  # noqa: S302  # from our own program


def receive_bytes(pipe: IO[bytes]) -> bytes:
    """Return the bytes of the next frame; raises as :func:`receive`."""
    head = pipe.read(_LENGTH)
    size = int.from_bytes(head, "little")
    data = pipe.read(size)
    if len(head) < _LENGTH or len(data) < size:
        raise EOFError
    return data


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a helper, whatever it does, and wait until it is gone."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def stay_with_parent() -> None:
    """End this process when its parent ends, as far as the system can do that."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
