"""Buffers: memory for one segment each, lent out and used again.

New memory for a few megabytes comes from the kernel page by page; for 400 MB that was 0.4 s of
processor time, more than unpacking them took.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Buffers:
    """As many buffers as were ever out at one time; they go when this does.

    Args:
        size: Bytes of each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer with whatever is in it."""
        with self._lock:
            return self._free.pop() if self._free else bytearray(self._size)

    def give(self, buffer: bytearray) -> None:
        """Take back a buffer that nobody reads any more."""
        with self._lock:
            self._free.append(buffer)

    @contextmanager
    def lent(self) -> Iterator[bytearray]:
        """Lend a buffer for the time of a ``with``."""
        buffer = self.take()
        try:
            yield buffer
        finally:
            self.give(buffer)
