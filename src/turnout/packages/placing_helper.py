"""The placing helper: a second process that unpacks, checks and writes segments of small files.

    python -m turnout.packages.placing_helper PARENT < jobs > results

It gets the tree as an open handle, so it can write nowhere else but where the manifest, checked
by its parent, allows.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from turnout.base.errors import TurnoutError, from_document
from turnout.packages import codec, helping
from turnout.packages.placing import Placement, place
from turnout.packages.segments import SEGMENT_BYTES, Segment


class PlacingHelper:
    """The parent's end of a helper, for one call at a time.

    Args:
        root: The handle of the tree.
        umask: As for :func:`~turnout.packages.placing.place`.
    """

    def __init__(self, root: int, umask: int) -> None:
        self._root = root
        self._umask = umask
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
            (self._root, self._umask),
            (segment.codec, segment.plain_bytes, bytes(segment.packed)),
            list(map(tuple, files)),
        )
        try:
            process.stdin.write(marshal.dumps(job))
            process.stdin.flush()
            answer: _Answer = marshal.load(process.stdout)  # noqa: S302  # from our own program
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
    buffer = memoryview(bytearray(SEGMENT_BYTES))
    while True:
        try:
            job = marshal.load(sys.stdin.buffer)  # noqa: S302  # from our own program
        except EOFError:
            return
        (root, umask), (used, size, packed), rows = job
        answer: _Answer
        try:
            codec.decompress_into(used, packed, buffer[:size])
            answer = (None, 0, *place(root, umask, buffer[:size], list(map(Placement._make, rows))))
        except TurnoutError as error:
            answer = (error.to_document(), 0, [], [])
        except OSError as error:
            answer = (None, error.errno or 5, [], [])
        sys.stdout.buffer.write(marshal.dumps(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
