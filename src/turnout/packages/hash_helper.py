"""The hash helper: a second process that reads its share of a large tree's small files.

    python -m turnout.packages.hash_helper PARENT < runs > results

Threads do not help there: 63,000 small files took two threads a sixth longer than one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from turnout.base.errors import TurnoutError, from_document
from turnout.packages import helping
from turnout.packages.hashing import Mark, hash_run


class HashHelper:
    """The parent's end of a helper, for one thread.

    Args:
        root: The tree whose files it reads.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._process: subprocess.Popen[bytes] | None
        try:
            self._process = helping.start("turnout.packages.hash_helper")
        except OSError:
            self._process = None

    def __enter__(self) -> HashHelper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            helping.stop(self._process)

    def hash(self, run: Sequence[tuple[str, Mark]]) -> list[str] | None:
        """Return what :func:`hash_run` would, from a process of its own; None if that failed.

        Raises:
            InvalidInput: A file is no longer what its mark says, or cannot be read.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            helping.send(process.stdin, (self._root, [(path, *mark) for path, mark in run]))
            problem, digests = helping.receive(process.stdout)
        except (OSError, ValueError, EOFError, TypeError):
            return None
        if problem:
            raise from_document(problem)
        return list(digests)


def main() -> None:
    """Answer the messages on standard input until it ends."""
    helping.stay_with_parent()
    while True:
        try:
            root, rows = helping.receive(sys.stdin.buffer)
        except EOFError:
            return
        problem, digests = None, []
        try:
            digests = hash_run(Path(root), [(path, Mark(*mark)) for path, *mark in rows])
        except TurnoutError as error:
            problem = error.to_document()
        helping.send(sys.stdout.buffer, (problem, digests))


if __name__ == "__main__":
    main()
