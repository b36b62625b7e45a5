"""The migrations make exactly the tables that the rooms describe."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import turnout.api.tables
import turnout.coordinator.tables
import turnout.environments.tables
import turnout.monitoring.tables
import turnout.security.tables
from turnout.base.database import Database, metadata
from turnout.base.errors import Failed

SOURCE = Path(turnout.__file__).parent


def test_every_room_with_tables_is_imported_here() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/tables.py")}
    assert rooms == {"api", "coordinator", "environments", "monitoring", "security"}


def test_the_migrated_schema_is_the_described_one(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'turnout.db'}")
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.migrate()
    database.close()


def test_a_newer_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "turnout.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9999'")
    with pytest.raises(Failed, match="newer version") as caught:
        database.migrate()
    assert caught.value.subject == str(path)
    assert caught.value.next_step
    with database.reading() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    assert found == "v9999"
    database.close()


def test_troubles_name_the_database_and_never_how_one_logs_in(tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        Database(f"sqlite:///{tmp_path}/nowhere/x.db").migrate()
    assert caught.value.subject == f"{tmp_path}/nowhere/x.db"
    with pytest.raises(Failed) as caught:
        Database("postgresql+psycopg://user:sekret@127.0.0.1:1/name?password=sekret").migrate()
    assert caught.value.subject == "127.0.0.1:1/name"
    assert "sekret" not in str(caught.value.to_document())
