"""Helping: a second Python process for work on many small files, which threads do not share.

A fork of a process that has threads is not safe, so a fresh interpreter is started, which takes
some 50 ms.  Both ends are one program, so ``marshal`` is as good a format as any, and by far the
fastest.  A helper dies with the one that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: which signal comes when the parent dies."""

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
    return subprocess.Popen(
        [sys.executable, "-m", module, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        pass_fds=handles,
    )


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
