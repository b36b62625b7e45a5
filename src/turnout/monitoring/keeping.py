"""The record of measures in the database: fine for minutes, coarse for a year.

Coarse points are summed up from the finer ones that are in the database, never from memory, so
a server that was killed goes on where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from turnout.base.database import Database
from turnout.monitoring.differences import Source
from turnout.monitoring.measures import Measure, join, pack, unpack
from turnout.monitoring.tables import series_points, series_rolled, series_sources

MINUTE, HOUR, DAY = 60, 3600, 86400
RETENTION: Mapping[int, int] = {1: 15 * MINUTE, 10: 6 * HOUR, MINUTE: 7 * DAY, HOUR: 365 * DAY}
"""Resolution to how long its points are kept, both in seconds; finest first."""
RESOLUTIONS = tuple(RETENTION)
_BATCH = 400
"""Sources in one query: SQLite takes 32766 variables, older ones 999."""


@dataclass(frozen=True, slots=True)
class Row:
    """One point as it is kept: of whom, from when, and the packed measure."""

    source: Source
    at: int
    data: bytes


class Keeping:
    """Reads and writes the record.  Its methods block; one thread writes at a time.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[Source, int] = {}
        self._rolled: dict[int, int] = {}
        self._stirred: dict[int, set[int]] = {}

    def load(self, since: int) -> list[Row]:
        """Read what is known of sources and sums; return the finest points from *since* on."""
        with self._database.reading() as connection:
            self._ids = _sources(connection)
            self._rolled = {
                row.resolution: row.until for row in connection.execute(series_rolled.select())
            }
            rows = self._select(connection, self._ids, 1, since, None)
        # What was written before the server ended and not summed up yet, nobody knows of whom.
        self._stirred = {coarse: set(self._ids.values()) for coarse in RESOLUTIONS[1:]}
        return rows

    def rolled(self, resolution: int) -> int:
        """Return until when the points of a resolution are whole."""
        return self._rolled.get(resolution, 0)

    def write(self, rows: Sequence[Row], until: int) -> None:
        """Add points of one second, and sum up what is whole by then; in one transaction.

        Args:
            rows: What is new; a point that is there already is replaced.
            until: Nothing before it will come any more.
        """
        if not rows and not any(self._due(until)):
            return
        ids, rolled = dict(self._ids), dict(self._rolled)
        stirred = {coarse: set(of) for coarse, of in self._stirred.items()}
        with self._database.transaction() as connection:
            _introduce(connection, ids, (row.source for row in rows))
            values = [_value(ids[row.source], 1, row.at, row.data) for row in rows]
            _upsert(connection, values)
            for finer, coarse in pairwise(RESOLUTIONS):
                moved = {value["source"] for value in values}
                stirred.setdefault(coarse, set()).update(moved)
                whole = until // coarse * coarse
                values = []
                if whole > rolled.get(coarse, 0):
                    values = _sums(connection, stirred[coarse], finer, coarse, rolled, whole)
                    _upsert(connection, values)
                    _mark(connection, coarse, whole)
                    rolled[coarse] = whole
                    # Only what came with this very call can begin after the sums' end.
                    stirred[coarse] = moved
        self._ids, self._rolled, self._stirred = ids, rolled, stirred

    def read(
        self, scope: str, resolution: int, since: int, until: int, revision: str | None = None
    ) -> list[Row]:
        """Return the points of a resolution that begin in ``[since, until)``, oldest first."""
        wanted = {
            source: number
            for source, number in self._ids.items()
            if source.scope == scope and revision in (None, source.revision)
        }
        if not wanted or since >= until:
            return []
        with self._database.reading() as connection:
            return self._select(connection, wanted, resolution, since, until)

    def prune(self, now: int) -> int:
        """Delete what has been kept long enough; return how many points went."""
        gone = 0
        with self._database.transaction() as connection:
            everyone = sa.select(series_sources.c.id).scalar_subquery()
            for resolution, kept in RETENTION.items():
                gone += connection.execute(
                    series_points.delete().where(
                        # By source: so the primary key leads to what is to go.
                        series_points.c.source.in_(everyone),
                        series_points.c.resolution == resolution,
                        series_points.c.at < now - kept,
                    )
                ).rowcount
            held = sa.exists().where(series_points.c.source == series_sources.c.id)
            connection.execute(series_sources.delete().where(~held))
            ids = _sources(connection)
        self._ids = ids
        return gone

    def _due(self, until: int) -> Iterable[bool]:
        for coarse in RESOLUTIONS[1:]:
            whole = until // coarse * coarse
            yield bool(self._stirred.get(coarse)) and whole > self._rolled.get(coarse, 0)

    def _select(
        self,
        connection: sa.Connection,
        sources: Mapping[Source, int],
        resolution: int,
        since: int,
        until: int | None,
    ) -> list[Row]:
        names = {number: source for source, number in sources.items()}
        found = [
            Row(names[row.source], row.at, row.data)
            for row in _points(connection, list(names), resolution, since, until)
        ]
        found.sort(key=lambda row: row.at)
        return found


def _sources(connection: sa.Connection) -> dict[Source, int]:
    return {
        Source(row.scope, row.revision, row.host, row.instance, row.release): row.id
        for row in connection.execute(series_sources.select())
    }


def _introduce(
    connection: sa.Connection, ids: dict[Source, int], sources: Iterable[Source]
) -> None:
    """Give a number to every source that has none, and add it to *ids*."""
    for source in sources:
        if source in ids:
            continue
        who = {
            "scope": source.scope,
            "revision": source.revision,
            "host": source.host,
            "instance": source.index,
        }
        # Another server may have introduced it, or this one before it could not read.
        columns = series_sources.c
        place = sa.and_(*(columns[name] == value for name, value in who.items()))
        found = connection.execute(sa.select(columns.id).where(place)).scalar()
        if found is not None:
            ids[source] = found
            continue
        number = connection.execute(
            series_sources.insert().values(**who, release=source.release)
        ).inserted_primary_key
        assert number is not None
        ids[source] = number[0]


def _sums(
    connection: sa.Connection,
    sources: set[int],
    finer: int,
    coarse: int,
    rolled: Mapping[int, int],
    whole: int,
) -> list[dict[str, Any]]:
    since = rolled.get(coarse, 0)
    stretches: defaultdict[tuple[int, int], list[Measure]] = defaultdict(list)
    rows = _points(connection, sorted(sources), finer, since, whole)
    for row in sorted(rows, key=lambda row: row.at):
        stretches[row.source, row.at // coarse * coarse].append(unpack(row.data))
    return [
        _value(source, coarse, at, pack(join(parts))) for (source, at), parts in stretches.items()
    ]


def _points(
    connection: sa.Connection, sources: list[int], resolution: int, since: int, until: int | None
) -> list[Any]:
    found: list[Any] = []
    for first in range(0, len(sources), _BATCH):
        query = series_points.select().where(
            series_points.c.source.in_(sources[first : first + _BATCH]),
            series_points.c.resolution == resolution,
            series_points.c.at >= since,
        )
        if until is not None:
            query = query.where(series_points.c.at < until)
        found += connection.execute(query).all()
    return found


def _value(source: int, resolution: int, at: int, data: bytes) -> dict[str, Any]:
    return {"source": source, "resolution": resolution, "at": at, "data": data}


def _upsert(connection: sa.Connection, values: list[dict[str, Any]]) -> None:
    if not values:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(series_points)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["source", "resolution", "at"],
            set_={"data": statement.excluded.data},
        ),
        values,
    )


def _mark(connection: sa.Connection, resolution: int, until: int) -> None:
    place = series_rolled.c.resolution == resolution
    if not connection.execute(series_rolled.update().where(place).values(until=until)).rowcount:
        connection.execute(series_rolled.insert().values(resolution=resolution, until=until))
