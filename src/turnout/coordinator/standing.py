"""What stands in a scope: its live revision, what it can go back to, and who holds it.

The rows of ``scopes`` and ``history``, and the one transaction that confirms a release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.coordinator.tables import history, scopes
from turnout.domain.facts import Revision
from turnout.wire.project import Intent


@dataclass(frozen=True)
class Standing:
    """One entry of a scope's history, ready to be run again.

    Attributes:
        id: Its number; higher is later.
        revision: The release with the configuration that it ran with.
        intent: That configuration whole.
        withdrawn: Whether a rollback went past it.
        confirmed_at: When it became live.
    """

    id: int
    revision: Revision
    intent: Intent
    withdrawn: bool
    confirmed_at: datetime


@dataclass(frozen=True)
class ScopeRecord:
    """One scope as the database has it.

    Attributes:
        project: Its project.
        environment: Its environment.
        holder: The deployment that moves it now, if any.
        version: The placement version that was signed last.
        live: What is live.
        live_since: Since when.
        previous: What it goes back to when nobody names a release.
        warm_until: Until when that is kept running.
        is_default: Whether it answers under names that nobody else has.
        entries: The history, newest first; at most 200.
    """

    project: str
    environment: str
    holder: str | None
    version: int
    live: Standing | None
    live_since: datetime | None
    previous: Standing | None
    warm_until: datetime | None
    is_default: bool
    entries: tuple[Standing, ...]

    @property
    def scope(self) -> str:
        """``project/environment``."""
        return f"{self.project}/{self.environment}"

    @property
    def earlier(self) -> tuple[str, ...]:
        """Releases that were live before, newest first, without the live one."""
        live = self.live.revision.release if self.live else None
        names = dict.fromkeys(entry.revision.release for entry in self.entries)
        return tuple(name for name in names if name != live)

    @property
    def bridged(self) -> tuple[str, ...]:
        """Releases whose hashed assets stay reachable beside those of the live one."""
        if self.live is None or self.live.intent.component.static is None:
            return ()
        reach = self.live.intent.component.static.bridge_releases
        return (self.live.revision.release, *self.earlier[:reach])

    def warm(self, now: datetime) -> Standing | None:
        """Return the release before while it is kept warm."""
        if self.previous and self.warm_until and now < self.warm_until:
            return self.previous
        return None


def revision_of(release: str, intent: Intent) -> Revision:
    """Return the revision that *release* makes under *intent*."""
    run = intent.component.run
    return Revision(
        revision=intent.component.revision(release),
        release=release,
        static=run is None,
        instances=run.instances if run else 0,
        exclusive=bool(run and run.exclusive),
    )


def ensure_scope(connection: sa.Connection, project: str, environment: str) -> None:
    """Make the row of a scope; the first one of a server becomes the default site."""
    place = (scopes.c.project == project) & (scopes.c.environment == environment)
    if connection.execute(scopes.select().where(place)).first() is None:
        nobody = connection.execute(sa.select(sa.func.count()).select_from(scopes)).scalar() == 0
        connection.execute(
            scopes.insert().values(project=project, environment=environment, is_default=nobody)
        )


def read_scope(connection: sa.Connection, project: str, environment: str) -> ScopeRecord | None:
    """Return a scope with its history, or None if it was never made."""
    place = (scopes.c.project == project) & (scopes.c.environment == environment)
    row = connection.execute(scopes.select().where(place)).mappings().first()
    if row is None:
        return None
    entries = tuple(
        _standing(dict(found))
        for found in connection.execute(
            history.select()
            .where((history.c.project == project) & (history.c.environment == environment))
            .order_by(history.c.id.desc())
            .limit(200)
        ).mappings()
    )
    by_id = {entry.id: entry for entry in entries}
    return ScopeRecord(
        project=project,
        environment=environment,
        holder=row["holder"],
        version=row["placement_version"],
        live=by_id.get(row["live"]),
        live_since=row["live_since"],
        previous=by_id.get(row["previous"]),
        warm_until=row["warm_until"],
        is_default=row["is_default"],
        entries=entries,
    )


def read(database: Database, project: str, environment: str) -> ScopeRecord | None:
    """Return a scope as it is now, or None if it was never made."""
    with database.reading() as connection:
        return read_scope(connection, project, environment)


def read_all(database: Database, project: str | None = None) -> Sequence[ScopeRecord]:
    """Return every scope, or those of one project."""
    query = sa.select(scopes.c.project, scopes.c.environment).order_by(
        scopes.c.project, scopes.c.environment
    )
    if project is not None:
        query = query.where(scopes.c.project == project)
    with database.reading() as connection:
        names = connection.execute(query).all()
        found = [read_scope(connection, name, environment) for name, environment in names]
    return [record for record in found if record is not None]


def next_version(connection: sa.Connection, project: str, environment: str) -> int:
    """Take the next placement version of a scope: every sealing run signs a higher one."""
    place = (scopes.c.project == project) & (scopes.c.environment == environment)
    connection.execute(
        scopes.update().where(place).values(placement_version=scopes.c.placement_version + 1)
    )
    return int(connection.execute(sa.select(scopes.c.placement_version).where(place)).scalar_one())


def confirm(
    connection: sa.Connection,
    row: Mapping[str, Any],
    *,
    rolled_back: bool,
    keep_warm: float,
) -> None:
    """Make the deployment's revision the live one, and what was live the way back.

    A rollback makes an old entry live again and withdraws what came after; it adds one only if
    code and configuration were never live together.  Saying it twice changes nothing.
    """
    project, environment = row["project"], row["environment"]
    record = read_scope(connection, project, environment)
    if record is None:
        raise LookupError(f"{project}/{environment} has no row")
    if rolled_back:
        live_id = _go_back(connection, row, record)
    elif record.live and record.live.revision.revision == row["revision"]:
        live_id = record.live.id
        # What runs is the same, but names, limits and the like may be new.
        connection.execute(
            history.update().where(history.c.id == live_id).values(intent=row["intent"])
        )
    else:
        live_id = _insert(connection, row)
    if live_id == (record.live.id if record.live else None):
        return
    previous = _before(connection, project, environment, live_id, row["revision"])
    warm = clock.now() + timedelta(seconds=keep_warm)
    connection.execute(
        scopes.update()
        .where((scopes.c.project == project) & (scopes.c.environment == environment))
        .values(
            live=live_id,
            live_since=clock.now(),
            previous=previous,
            warm_until=warm if keep_warm > 0 and not rolled_back else None,
        )
    )


def _go_back(connection: sa.Connection, row: Mapping[str, Any], record: ScopeRecord) -> int:
    """Return the entry that a rollback makes live, and withdraw what it goes past."""
    intent = Intent.model_validate(row["intent"])
    known = next(
        (
            entry.id
            for entry in record.entries
            if entry.revision.revision == row["revision"] and entry.intent == intent
        ),
        None,
    )
    base = row["back_to"] if known is None else known
    place = (history.c.project == row["project"]) & (history.c.environment == row["environment"])
    later = history.c.id > (base or 0)
    connection.execute(history.update().where(place & later).values(withdrawn=True))
    if known is None:
        return _insert(connection, row)
    connection.execute(history.update().where(history.c.id == known).values(withdrawn=False))
    return known


def _insert(connection: sa.Connection, row: Mapping[str, Any]) -> int:
    known = connection.execute(
        sa.select(history.c.id).where(history.c.deployment == row["id"])
    ).scalar()
    if known is not None:
        return int(known)
    result = connection.execute(
        history.insert().values(
            project=row["project"],
            environment=row["environment"],
            release=row["release"],
            revision=row["revision"],
            intent=row["intent"],
            deployment=row["id"],
            confirmed_at=clock.now(),
        )
    )
    key = result.inserted_primary_key
    return int(key[0]) if key else 0


def _before(
    connection: sa.Connection, project: str, environment: str, live_id: int, revision: str
) -> int | None:
    return connection.execute(
        sa.select(history.c.id)
        .where(
            (history.c.project == project)
            & (history.c.environment == environment)
            & (history.c.id < live_id)
            & (history.c.revision != revision)
            & ~history.c.withdrawn
        )
        .order_by(history.c.id.desc())
        .limit(1)
    ).scalar()


def _standing(row: Mapping[str, Any]) -> Standing:
    intent = Intent.model_validate(row["intent"])
    return Standing(
        id=row["id"],
        revision=revision_of(row["release"], intent),
        intent=intent,
        withdrawn=row["withdrawn"],
        confirmed_at=row["confirmed_at"],
    )
