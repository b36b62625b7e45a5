"""Where the logs of instances are: every revision of every environment, on every host."""

from __future__ import annotations

from collections import Counter
from functools import partial

import sqlalchemy as sa

from turnout.coordinator.context import Context
from turnout.coordinator.tables import deployments
from turnout.monitoring.logsearch import Place, Query
from turnout.targets.port import Host
from turnout.wire import agent as wire

_REVISIONS = 40
"""So many of an environment's newest revisions are searched; hosts keep the logs of fewer."""


def places(ctx: Context, query: Query) -> list[Place]:
    """Return every revision on every host that a query may be about, newest first.  Blocks.

    Fresh instances of the old release beside a canary write logs too, under a name of theirs.
    """
    table = deployments.c
    newest = sa.func.max(table.created_at)
    names = (table.project, table.environment, table.revision, table.release)
    chosen = sa.select(*names).group_by(*names).order_by(newest.desc())
    if query.scope is not None:
        project, _, environment = query.scope.partition("/")
        chosen = chosen.where(table.project == project)
        if environment:
            chosen = chosen.where(table.environment == environment)
    found: dict[tuple[str, str], str] = {}
    many: Counter[str] = Counter()
    with ctx.ledger.database.reading() as connection:
        for row in connection.execute(chosen):
            scope = f"{row.project}/{row.environment}"
            many[scope] += 1
            if many[scope] <= _REVISIONS:
                found[scope, row.revision] = row.release
    for host in ctx.series.latest().values():
        for one in host.revisions:
            if one.scope in many:
                found.setdefault((one.scope, one.revision), one.release)
    return [
        Place(host, scope, revision, release)
        for (scope, revision), release in found.items()
        for host in ctx.fleet.names
    ]


async def read(ctx: Context, place: Place, wanted: wire.LogsWanted) -> wire.LogPage:
    """Read a page of a place.

    Raises:
        Unreachable: Its host does not answer.
    """
    return await ctx.fleet.call(place.host, partial(_ask, wanted))


async def _ask(wanted: wire.LogsWanted, driver: Host) -> wire.LogPage:
    return await driver.logs(wanted)
