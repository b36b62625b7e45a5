"""Runs the project's build command and shows what it says."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from turnout.base.errors import Failed

TAIL_LINES = 20
"""Lines of the build's output that its error repeats."""

_LINE_BYTES = 64 * 1024
"""A longer line is cut into pieces, so that no output can fill the memory."""


def run(command: Sequence[str], directory: Path, show: Callable[[str], None]) -> None:
    """Run *command* in *directory*; both of its outputs go to *show*, line by line.

    Raises:
        Failed: It cannot be started or ends with another code than 0; the error holds the
            last lines.
    """
    try:
        process = subprocess.Popen(
            list(command),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Failed(
            "The build command cannot be started",
            subject=command[0],
            why=error.strerror or str(error),
            next_step="Install it, or correct [build] command in turnout.toml.",
        ) from error
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with process:
        assert process.stdout is not None
        try:
            while line := process.stdout.readline(_LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip()
                tail.append(text)
                show(text)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise Failed(
            "The build failed",
            subject=" ".join(command)[:200],
            why=f"exit code {process.returncode}; it ended with\n" + "\n".join(tail),
            next_step="Mend the build; nothing was uploaded or deployed.",
            facts={"exit_code": process.returncode, "tail": list(tail)},
        )
