"""The one database: SQLite by default, or PostgreSQL, shared with the durable engine.

Tables stand in the rooms that own them, all on :data:`metadata`; the schema is made by the
migrations beside this file.  Whoever writes opens one transaction and puts the state and the
event that tells of it into it together.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from turnout.base.errors import Exhausted, Failed, InvalidInput, TurnoutError

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


_DRIVERS = ("sqlite", "postgresql+psycopg")

_WRITER = 0x7475726E
"""The advisory lock of PostgreSQL that a writer holds: "turn" in ASCII."""


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC; SQLite, which knows none, gets an ISO 8601 text that sorts."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class Database:
    """An engine with short transactions and a bell that rings after each commit.

    Args:
        url: An SQLAlchemy URL, ``sqlite:////path`` or ``postgresql+psycopg://…``.

    Raises:
        InvalidInput: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._shown = _shown(self.engine.url)
        self._listeners: list[Callable[[], None]] = []
        # SQLite has one writer; waiting here is cheap, waiting there is polling.
        self._writing = threading.Lock() if self.engine.dialect.name == "sqlite" else None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction; it is committed at the end, or undone by an exception.

        Raises:
            Exhausted: The disk is full.
            Failed: The database cannot be used.
        """
        if self._writing:
            with self._writing, _explained(self._shown), self.engine.begin() as connection:
                yield connection
        else:
            with _explained(self._shown), self.engine.begin() as connection:
                _be_the_one_writer(connection)
                yield connection
        for ring in self._listeners:
            ring()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a connection for reading only."""
        quiet = self.engine.execution_options(reading=True)
        with _explained(self._shown), quiet.connect() as connection:
            yield connection

    def on_commit(self, ring: Callable[[], None]) -> None:
        """Call *ring* after every commit, from the thread that committed."""
        self._listeners.append(ring)

    def migrate(self) -> None:
        """Bring the schema to the version of this code.

        Raises:
            Failed: The database cannot be used, or a newer version of Turnout has written it.
        """
        config = Config()
        config.set_main_option(
            "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
        )
        with _explained(self._shown), self.engine.begin() as connection:
            _be_the_one_writer(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                if "Can't locate revision" not in str(error):
                    raise
                raise Failed(
                    "The database was written by a newer version of Turnout",
                    subject=self._shown,
                    why=str(error),
                    next_step="Start that version or a later one, or put back a backup from "
                    "before the update; nothing was changed.",
                ) from error

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # The text may hold a password, so it is not repeated.
        raise _not_an_address("it does not look like one") from None
    if parsed.drivername not in _DRIVERS:
        raise _not_an_address(f"it begins with {parsed.drivername[:40]!r}")
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_size=10, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # WAL with NORMAL keeps the file whole at a crash of the process, which is what happens
        # here; a power cut may lose the last commits, never their order
        # (https://www.sqlite.org/pragma.html#pragma_synchronous).
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A deferred transaction that reads before it writes fails at once with SQLITE_BUSY
        # when another writer came between; asking for the write lock first waits instead.
        if connection.get_execution_options().get("reading"):
            return
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _shown(url: sa.URL) -> str:
    """Return what names a database to its operator: never the user, password or options."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def _be_the_one_writer(connection: sa.Connection) -> None:
    """Give PostgreSQL the one writer at a time that SQLite has by nature.

    Our transactions are short, read before they write, and number events: one after the other
    they need no row locks, cannot deadlock, and events become visible in their order.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER)))


def _not_an_address(why: str) -> InvalidInput:
    return InvalidInput(
        "That is no address of a database",
        why=why,
        next_step="Give sqlite:////PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        # The kinds below it, such as a broken constraint, are for those who asked.
        if type(error) is sa.exc.OperationalError:
            raise _unusable(error, shown) from error
        if type(error) is not sa.exc.DatabaseError:
            raise
        raise Failed(
            "The database is damaged",
            subject=shown,
            why=str(error.orig),
            next_step="Stop the server, keep a copy, and put back a backup of the database.",
        ) from error
    except sa.exc.TimeoutError as error:
        raise _unusable(error, shown) from error


_OF_DATABASE = {"of": "database"}


def _unusable(error: sa.exc.SQLAlchemyError, shown: str) -> Failed:
    text = str(getattr(error, "orig", error))
    if any(sign in text for sign in ("disk is full", "disk I/O", "No space left")):
        return Exhausted(
            "The database could not be written",
            subject=shown,
            why=text,
            next_step="Free disk space on the volume of the data directory, then try again.",
            facts=_OF_DATABASE,
        )
    return Failed(
        "The database cannot be used",
        subject=shown,
        why=text,
        next_step="Make it reachable and writable, then try again.",
        facts=_OF_DATABASE,
    )


def of_database(error: BaseException) -> bool:
    """Return whether *error* says that the database could not be used just then."""
    if isinstance(error, TurnoutError):
        return error.facts.get("of") == "database"
    return isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError)
