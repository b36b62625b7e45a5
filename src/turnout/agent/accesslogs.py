"""Whether the router writes a line for each request of a scope: remembered, and made so."""

from __future__ import annotations

import asyncio
from pathlib import Path

from turnout.agent import records
from turnout.agent.paths import Layout
from turnout.agent.routing import Routing
from turnout.base.failpoints import reached
from turnout.wire import agent as wire


class AccessLogs:
    """The access logs of every scope; the wish of one outlives its routing."""

    def __init__(self, layout: Layout, routing: Routing) -> None:
        self._layout = layout
        self._routing = routing
        self._turn = asyncio.Lock()

    async def switch(self, wanted: wire.AccessLogWanted) -> None:
        """Switch the access log of a scope on or off; return when the router obeys.

        Raises:
            Failed: The router refused it; the log stays as it was.
        """
        path = self._layout.access_log(wanted.scope)
        async with self._turn:
            await reached("agent.accesslog.before")
            was = path.exists()
            _write(path, wanted, on=wanted.on)
            try:
                await reached("agent.accesslog.inside")
                await self._routing.reconcile()
            except BaseException:
                _write(path, wanted, on=was)
                raise
            await reached("agent.accesslog.after")

    def forget(self, scope: str) -> None:
        """Forget what a scope wished that is gone from this host."""
        _remove(self._layout.access_log(scope))


def _write(path: Path, wanted: wire.AccessLogWanted, *, on: bool) -> None:
    if on:
        records.write(path, wanted.model_copy(update={"on": True}))
    else:
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    records.remove_empty(path.parent, levels=1)
