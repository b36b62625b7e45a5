"""The placing helper: a second process that unpacks, checks and writes segments of small files.

    python -m turnout.packages.placing_helper PARENT < jobs > results

It gets the tree as an open handle, so it can write nowhere else but where the manifest, checked
by its parent, allows.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from turnout.base.errors import TurnoutError, from_document
from turnout.packages import codec, helping
from turnout.packages.buffers import Buffers
from turnout.packages.placing import Placement, place
from turnout.packages.segments import SEGMENT_BYTES, Segment


class PlacingHelper:
    """The parent's end of a helper, for one call at a time.

    Args:
        root: The handle of the tree.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        # A helper that cannot start costs time and nothing else.
        with contextlib.suppress(OSError):
            self._process = helping.start("turnout.packages.placing_helper", (root,))

    def place(
        self, segment: Segment, files: Sequence[Placement]
    ) -> tuple[list[int], list[int]] | None:
        """Return what :func:`~turnout.packages.placing.place` would.

        None if the helper is dead, and the caller must do it; nothing is left of it then.

        Raises:
            Untrusted: One file is not what its digest says.
            OSError: A file could not be written.
        """
        answer = self._ask(segment, files)
        if answer is None:
            return None
        problem, code, inodes, times = answer
        if problem:
            raise from_document(problem)
        if code:
            raise OSError(code, os.strerror(code))
        return inodes, times

    def close(self) -> None:
        """End the helper; called when no other call is under way."""
        if self._process is not None:
            helping.stop(self._process)
            self._process = None

    def _ask(self, segment: Segment, files: Sequence[Placement]) -> _Answer | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        job = (
            self._root,
            (segment.codec, segment.plain_bytes),
            list(map(tuple, files)),
        )
        try:
            helping.send(process.stdin, job)
            helping.send_bytes(process.stdin, segment.packed)
            answer: _Answer = helping.receive(process.stdout)
            return answer
        except (OSError, ValueError, EOFError, TypeError):
            # Somebody killed it.  What it wrote is in the way of whoever does it again.
            self.close()
            for file in files:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file.path, dir_fd=self._root)
            return None


_Answer = tuple[dict[str, Any] | None, int, list[int], list[int]]


def main() -> None:
    """Answer jobs on standard input until it ends."""
    helping.stay_with_parent()
    # Every file is made with its own mode, and no second call is needed to give it.
    os.umask(0)
    buffer = Buffers(SEGMENT_BYTES).take()
    while True:
        try:
            job = helping.receive(sys.stdin.buffer)
            packed = helping.receive_bytes(sys.stdin.buffer)
        except EOFError:
            return
        root, (used, size), rows = job
        answer: _Answer
        try:
            codec.decompress_into(used, packed, buffer[:size])
            answer = (None, 0, *place(root, 0, buffer[:size], list(map(Placement._make, rows))))
        except TurnoutError as error:
            answer = (error.to_document(), 0, [], [])
        except OSError as error:
            answer = (None, error.errno or 5, [], [])
        helping.send(sys.stdout.buffer, answer)


if __name__ == "__main__":
    main()
