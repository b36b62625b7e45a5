"""Hashing many files at once: large ones in threads, many small ones in a second process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from turnout.packages.hash_helper import SHARE, hash_elsewhere
from turnout.packages.hashing import Mark, hash_run

File = tuple[str, Mark]

_RUN = 512
_LARGE = 256 << 10
"""Bytes from which on a file is hashed in a thread, as hashing then runs beside other threads."""

_MOST_HELPERS = 3


def hash_files(
    root: Path,
    files: Sequence[File],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Return path to SHA-256 in hexadecimal for *files* below *root*.

    Args:
        root: The tree.
        files: Paths and what they must still be.
        progress: Told now and then how many are done, and how many there are.

    Raises:
        InvalidInput: A file is no longer what its mark says, or cannot be read.
    """
    small = [item for item in files if item[1].size < _LARGE]
    mine, shares = _split(small)
    digests: dict[str, str] = {}

    def take(run: Sequence[File], found: Sequence[str]) -> None:
        digests.update(zip((path for path, _ in run), found, strict=True))
        if progress is not None:
            progress(len(digests), len(files))

    cores = os.cpu_count() or 1
    with (
        ThreadPoolExecutor(_MOST_HELPERS, "helper") as waiting,
        ThreadPoolExecutor(max(1, cores - 1), "hash") as threads,
    ):
        elsewhere = [(share, waiting.submit(hash_elsewhere, root, share)) for share in shares]
        beside = [
            ([item], threads.submit(hash_run, root, [item]))
            for item in files
            if item[1].size >= _LARGE
        ]
        futures: list[Future[list[str]] | Future[list[str] | None]] = [f for _, f in beside]
        futures.extend(f for _, f in elsewhere)
        try:
            for at in range(0, len(mine), _RUN):
                run = mine[at : at + _RUN]
                take(run, hash_run(root, run))
            for large, digest in beside:
                take(large, digest.result())
            for share, result in elsewhere:
                found = result.result()
                # A helper that could not start or was killed costs time and nothing else.
                take(share, hash_run(root, share) if found is None else found)
        finally:
            for future in futures:
                future.cancel()
    return digests


def _split(files: list[File]) -> tuple[list[File], list[list[File]]]:
    """Return this process's share and those of the helpers, each a run of neighbours."""
    helpers = min(_MOST_HELPERS, (os.cpu_count() or 1) - 1, len(files) // SHARE)
    if helpers < 1:
        return files, []
    size = -(-len(files) // (helpers + 1))
    shares = [files[at : at + size] for at in range(0, len(files), size)]
    return shares[0], shares[1:]
