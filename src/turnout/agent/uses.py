"""Who uses a release's tree at the moment, so that nobody replaces or removes it meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class Uses:
    """Many may read a release's tree; one may replace it while nobody reads.

    A release that is received again comes as a new tree that takes the place of the old one,
    which would pull the ground away under a copy that is being made of it.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._reading: Counter[str] = Counter()
        self._replacing: set[str] = set()

    @asynccontextmanager
    async def reading(self, releases: Iterable[str]) -> AsyncIterator[None]:
        """Keep the trees of *releases* as they are."""
        names = set(releases)
        async with self._changed:
            await self._changed.wait_for(lambda: names.isdisjoint(self._replacing))
            self._reading.update(names)
        try:
            yield
        finally:
            async with self._changed:
                self._reading.subtract(names)
                self._reading += Counter()
                self._changed.notify_all()

    @asynccontextmanager
    async def replacing(self, release: str) -> AsyncIterator[None]:
        """Be the only one who uses *release*."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: release not in self._replacing and not self._reading[release]
            )
            self._replacing.add(release)
        try:
            yield
        finally:
            async with self._changed:
                self._replacing.discard(release)
                self._changed.notify_all()
