"""Readers of instance logs over all hosts of a revision."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from turnout.coordinator.context import Context
from turnout.targets.port import Host
from turnout.wire import agent as wire

Reader = Callable[[str], Awaitable[tuple[Sequence[wire.LogLine], str]]]
_PAGE = 1000


def of_revision(ctx: Context, scope: str, revision: str) -> Reader:
    """Return what reads the log lines of a revision on behind a cursor.

    The cursor holds one of each host; an empty one stands for the present end.
    """

    async def read(cursor: str) -> tuple[Sequence[wire.LogLine], str]:
        cursors: dict[str, str] = json.loads(cursor) if cursor else {}
        lines: list[wire.LogLine] = []
        for host in ctx.fleet.names:
            wanted = wire.LogsWanted(
                scope=scope,
                revision=revision,
                cursor=cursors.get(host, ""),
                tail=_PAGE if host in cursors else 0,
            )
            page = await ctx.fleet.call(host, partial(_logs, wanted))
            lines += page.lines
            cursors[host] = page.cursor
        lines.sort(key=lambda line: line.at)
        return lines, json.dumps(cursors)

    return read


async def _logs(wanted: wire.LogsWanted, driver: Host) -> wire.LogPage:
    return await driver.logs(wanted)
