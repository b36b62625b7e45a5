"""Transactions: whole or not at all, one writer at a time, and every trouble explained."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from turnout.base.database import Database, UtcTime
from turnout.base.errors import Failed

table = sa.Table(
    "counter",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("at", UtcTime),
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    found = Database(f"sqlite:///{tmp_path / 'x.db'}")
    table.metadata.create_all(found.engine)
    with found.transaction() as connection:
        connection.execute(table.insert().values(id=1, value=0))
    return found


def _value(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(table.c.value)).scalar_one())


def test_no_update_is_lost(database: Database) -> None:
    def add() -> None:
        for _ in range(20):
            with database.transaction() as connection:
                value = connection.execute(sa.select(table.c.value)).scalar_one()
                connection.execute(table.update().values(value=value + 1))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _value(database) == 120


def test_an_exception_undoes_everything_and_rings_no_bell(database: Database) -> None:
    rung: list[int] = []
    database.on_commit(lambda: rung.append(1))
    with pytest.raises(ValueError, match="no"), database.transaction() as connection:
        connection.execute(table.update().values(value=9))
        raise ValueError("no")
    assert (_value(database), rung) == (0, [])


def test_reading_sees_no_half_transaction_and_blocks_nobody(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(table.update().values(value=9))
        assert _value(database) == 0
    assert _value(database) == 9


def test_a_locked_database_is_explained(database: Database) -> None:
    other = sa.create_engine(database.url, connect_args={"timeout": 0.05})
    impatient = Database(database.url)
    impatient.engine.dispose()

    @sa.event.listens_for(impatient.engine, "connect")
    def _hurry(connection: object, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")  # type: ignore[attr-defined]

    with other.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Failed, match="cannot be used") as failed, impatient.transaction():
            pass
        assert "locked" in failed.value.why
        holder.rollback()


def test_a_time_comes_back_as_it_went(database: Database) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    with database.transaction() as connection:
        connection.execute(table.update().values(at=moment))
        assert connection.execute(sa.select(table.c.at)).scalar_one() == moment
