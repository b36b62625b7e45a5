"""The hash helper: a second process that reads its share of a large tree's small files.

    python -m turnout.packages.hash_helper < share > result

Threads do not help there (63,000 small files took two threads a sixth longer than one), and a
fork of a process that has threads is not safe; a fresh interpreter costs 80 ms.  Both ends are
one program, so ``marshal`` is as good a format as any, and by far the fastest.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from turnout.base.errors import TurnoutError, from_document
from turnout.packages.hashing import Mark, hash_run

SHARE = 8_000
"""Files from which on a helper pays."""


def hash_elsewhere(root: Path, share: Sequence[tuple[str, Mark]]) -> list[str] | None:
    """Return what :func:`hash_run` would, from a process of its own; None if that failed.

    Raises:
        InvalidInput: A file is no longer what its mark says, or cannot be read.
    """
    message = marshal.dumps((str(root), [(path, *mark) for path, mark in share]))
    path = os.pathsep.join(entry for entry in sys.path if entry)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "turnout.packages.hash_helper"],
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )
        problem, digests = marshal.loads(done.stdout)  # noqa: S302  # from our own program
    except (OSError, subprocess.SubprocessError, ValueError, EOFError, TypeError):
        return None
    if problem:
        raise from_document(problem)
    return list(digests)


def main() -> None:
    """Answer the one message on standard input."""
    root, rows = marshal.load(sys.stdin.buffer)  # noqa: S302  # from our own program
    share = [(path, Mark(*mark)) for path, *mark in rows]
    problem, digests = None, []
    try:
        digests = hash_run(Path(root), share)
    except TurnoutError as error:
        problem = error.to_document()
    marshal.dump((problem, digests), sys.stdout.buffer)


if __name__ == "__main__":
    main()
