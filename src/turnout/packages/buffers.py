"""Buffers: memory for one segment each, lent out, used again, and given back in the end.

New memory for a few megabytes comes from the kernel page by page; for 400 MB that was 0.4 s of
processor time, more than unpacking them took.  So it is asked for in large pages, and only what
is used of a buffer is ever taken.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import mmap
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Buffers:
    """As many buffers as were ever out at one time; they go when this does.

    Args:
        size: Bytes of each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        """Return a buffer with whatever is in it."""
        with self._lock:
            return self._free.pop() if self._free else _fresh(self._size)

    def give(self, buffer: memoryview) -> None:
        """Take back a buffer that nobody reads any more."""
        with self._lock:
            self._free.append(buffer)

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """Lend a buffer for the time of a ``with``."""
        buffer = self.take()
        try:
            yield buffer
        finally:
            self.give(buffer)


def _fresh(size: int) -> memoryview:
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A kernel without large pages does as it always did.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def one_arena() -> None:
    """Let all threads take memory from one arena; call it before threads take any.

    By default each thread gets one of its own, and what is free at the top of those is never
    given back: after a release of 58,000 files a server kept 120 MiB instead of 67, and a host
    81 instead of 49.  Python's own lock lets one thread at a time allocate anyway.

    What is freed is kept until :func:`giving_back` returns it, up to a limit, and so are blocks
    of a few megabytes: to take them from the kernel anew for every segment was a tenth of the
    processor time of a release.
    """
    if _mallopt is not None:
        _mallopt(_M_ARENA_MAX, 1)
        _mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK)
        _mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def giving_back(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Give free memory back to the system after each call, when all that it used is free.

    The allocator would keep it for the next time.  It takes 2 ms.
    """

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        finally:
            give_back()

    return call


def give_back() -> None:
    """Give free memory back to the system; it takes some milliseconds."""
    if _trim is not None:
        _trim(0)


async def keep_small() -> None:
    """Give free memory back once in a while, for as long as the task lives.

    What reads a manifest of 58,000 files leaves 22 MiB behind, and many steps do.
    """
    while True:
        await asyncio.sleep(_REST_S)
        await asyncio.to_thread(give_back)


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of garbage from running meanwhile, in all threads.

    Tens of thousands of rows are made and none of them is in a cycle, but the collector looks
    through all of them again and again: a tenth of the time of a large release.
    """
    global _holders
    with _lock:
        if not _holders:
            _enabled[0] = gc.isenabled()
            gc.disable()
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if not _holders and _enabled[0]:
                gc.enable()


def _find(name: str, *arguments: type[ctypes._SimpleCData[int]]) -> Callable[..., int] | None:
    """Return a function of the C library; None where there is none of that name."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = list(arguments), ctypes.c_int
    found: Callable[..., int] = function
    return found


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""From glibc's malloc.h; other C libraries have no arenas, and ignore it or lack the function."""

_KEPT_BLOCK = 32 << 20
"""Bytes from which on a block is the kernel's again once it is freed; glibc allows no more."""

_KEPT_BYTES = 64 << 20
"""Free bytes at the end of the heap that are kept."""

_REST_S = 30.0
"""Seconds between times that free memory is given back."""

_trim = _find("malloc_trim", ctypes.c_size_t)
_mallopt = _find("mallopt", ctypes.c_int, ctypes.c_int)
_lock = threading.Lock()
_holders = 0
_enabled = [True]
