"""A bounded pipeline: work done in threads, and never much of it in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, under_way: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for every item, in order, computed in *workers* threads.

    At most *under_way* items are taken and not yet yielded.  When the work on one fails or the
    consumer stops, what has not begun is dropped and what has begun is waited for.

    Args:
        work: Called in a thread.
        items: Taken in the consumer's thread.
        workers: Threads.
        under_way: Items in memory at one time.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, "package") as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= under_way:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def in_any_order(
    work: Callable[[Item], object], items: Iterable[Item], workers: int, under_way: int
) -> None:
    """Do ``work(item)`` for every item; arguments and errors are those of :func:`in_order`.

    A slow item does not keep others from beginning.
    """
    pending: set[Future[object]] = set()
    with ThreadPoolExecutor(workers, "package") as pool:
        try:
            for item in items:
                pending.add(pool.submit(work, item))
                if len(pending) >= under_way:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            for future in pending:
                future.result()
        finally:
            for future in pending:
                future.cancel()
