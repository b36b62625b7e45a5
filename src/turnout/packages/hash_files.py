"""Hashing many files at once: large ones in threads, many small ones in other processes too."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

from turnout.packages.hash_helper import HashHelper
from turnout.packages.hashing import Mark, hash_run
from turnout.packages.helping import MANY

File = tuple[str, Mark]

_RUN = 512
_LARGE = 256 << 10
"""Bytes from which on a file is hashed in a thread, as hashing then runs beside other threads."""

_MOST_HELPERS = 3


class Hashing:
    """The files of one tree, hashed from the time on when many are known.

    Helpers begin while the tree is still being listed; a small tree is left to the end.

    Args:
        root: The tree.
        progress: Told now and then how many are done, and how many there are.
    """

    def __init__(self, root: Path, progress: Callable[[int, int], None] | None = None) -> None:
        self._root = root
        self._progress = progress
        self._digests: dict[str, str] = {}
        self._large: list[File] = []
        self._run: list[File] = []
        self._runs: SimpleQueue[list[File] | None] = SimpleQueue()
        self._small = 0
        self._cores = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(_MOST_HELPERS + self._cores, "hash")
        self._helpers: list[Future[None]] = []

    def __enter__(self) -> Hashing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drain()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def add(self, path: str, mark: Mark) -> None:
        """Hash a file, now or later."""
        if mark.size >= _LARGE:
            self._large.append((path, mark))
            return
        self._run.append((path, mark))
        if len(self._run) < _RUN:
            return
        self._small += len(self._run)
        self._runs.put(self._run)
        self._run = []
        if not self._helpers and self._small >= MANY // 2:
            helpers = min(_MOST_HELPERS, self._cores - 1)
            self._helpers = [self._threads.submit(self._feed) for _ in range(helpers)]

    def finish(self) -> dict[str, str]:
        """Return path to SHA-256 in hexadecimal of all that was added.

        Raises:
            InvalidInput: A file is no longer what its mark says, or cannot be read.
        """
        count = self._small + len(self._run) + len(self._large)
        beside = [
            self._threads.submit(self._hash, [file]) for file in self._large if self._cores > 1
        ]
        self._runs.put(self._run)
        while run := self._next():
            self._hash(run)
            self._tell(count)
        for file in self._large if self._cores == 1 else ():
            self._hash([file])
            self._tell(count)
        self._drain()
        for future in (*beside, *self._helpers):
            future.result()
            self._tell(count)
        return self._digests

    def _hash(self, run: Sequence[File]) -> None:
        self._note(run, hash_run(self._root, run))

    def _note(self, run: Sequence[File], digests: Sequence[str]) -> None:
        self._digests.update(zip((path for path, _ in run), digests, strict=True))

    def _tell(self, count: int) -> None:
        if self._progress is not None:
            self._progress(len(self._digests), count)

    def _next(self) -> list[File] | None:
        try:
            return self._runs.get_nowait()
        except Empty:
            return None

    def _drain(self) -> None:
        """Let the helpers end: nothing is left for them, and nothing will come."""
        while self._next():
            pass
        for _ in self._helpers:
            self._runs.put(None)

    def _feed(self) -> None:
        """Give runs to one helper, and do them here should it fail, which only costs time."""
        with HashHelper(self._root) as helper:
            while run := self._runs.get():
                found = helper.hash(run)
                if found is None:
                    self._hash(run)
                else:
                    self._note(run, found)
