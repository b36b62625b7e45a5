"""The catalogue: which projects there are, and which releases each of them has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from turnout.base import clock
from turnout.base.database import Database
from turnout.base.errors import NotFound
from turnout.environments.tables import projects, releases


@dataclass(frozen=True)
class ReleaseFacts:
    """A release of a project as it was when it became whole."""

    project: str
    release: str
    files: int
    bytes: int
    message: str
    created_at: datetime


class Catalogue:
    """The projects and releases of one server.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, project: str, release: str, *, files: int, size: int, message: str = ""
    ) -> ReleaseFacts:
        """Enter a release whose content is stored whole; entering it again changes nothing.

        Args:
            project: A checked name.
            release: Its digest.
            files: How many files it has.
            size: Their bytes together, unpacked.
            message: What its maker says of it.

        Returns:
            The entry as it stands, which is the first one's.
        """
        now = clock.now()
        fresh = ReleaseFacts(project, release, files, size, message, now)
        with self._database.transaction() as connection:
            if not connection.execute(
                sa.select(projects.c.name).where(projects.c.name == project)
            ).first():
                _insert_unless_there(connection, projects, name=project, created_at=now)
            _insert_unless_there(connection, releases, **fresh.__dict__)
            return _get(connection, project, release) or fresh

    def has(self, project: str, release: str) -> bool:
        """Return whether a release is entered."""
        with self._database.reading() as connection:
            return _get(connection, project, release) is not None

    def get(self, project: str, release: str) -> ReleaseFacts:
        """Return a release.

        Raises:
            NotFound: The project has no such release.
        """
        with self._database.reading() as connection:
            found = _get(connection, project, release)
        if found is None:
            raise NotFound(
                "There is no such release",
                subject=f"{project} {release[:12]}",
                next_step=f"'turnout releases --project {project}' lists those that are here.",
            )
        return found

    def page(
        self, project: str, *, before: tuple[datetime, str] | None = None, limit: int = 50
    ) -> list[ReleaseFacts]:
        """Return releases of a project, newest first.

        Args:
            project: A checked name.
            before: Time and digest of the last one already seen.
            limit: At most this many.

        Raises:
            NotFound: There is no such project.
        """
        query = (
            releases.select()
            .where(releases.c.project == project)
            .order_by(releases.c.created_at.desc(), releases.c.release.desc())
            .limit(limit)
        )
        if before is not None:
            at, release = before
            query = query.where(
                sa.or_(
                    releases.c.created_at < at,
                    sa.and_(releases.c.created_at == at, releases.c.release < release),
                )
            )
        with self._database.reading() as connection:
            known = connection.execute(
                sa.select(projects.c.name).where(projects.c.name == project)
            ).first()
            if known is None:
                raise NotFound(
                    "There is no such project",
                    subject=project,
                    next_step="A project comes to be with its first 'turnout deploy'.",
                )
            return [ReleaseFacts(**row._mapping) for row in connection.execute(query)]

    def projects(self) -> list[str]:
        """Return the names of all projects, sorted."""
        with self._database.reading() as connection:
            return list(
                connection.execute(sa.select(projects.c.name).order_by(projects.c.name)).scalars()
            )

    def remove(self, project: str, release: str) -> None:
        """Take a release out whose content was pruned; a second time changes nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                releases.delete().where(
                    releases.c.project == project, releases.c.release == release
                )
            )


def _get(connection: sa.Connection, project: str, release: str) -> ReleaseFacts | None:
    row = connection.execute(
        releases.select().where(releases.c.project == project, releases.c.release == release)
    ).one_or_none()
    return None if row is None else ReleaseFacts(**row._mapping)


def _insert_unless_there(connection: sa.Connection, table: sa.Table, **values: object) -> None:
    # Two servers on one PostgreSQL may enter the same release at once.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgres_insert

        connection.execute(postgres_insert(table).values(**values).on_conflict_do_nothing())
    else:
        connection.execute(table.insert().prefix_with("OR IGNORE").values(**values))
