"""The migrations make exactly the tables that the rooms describe."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import turnout.api.tables
import turnout.coordinator.tables
import turnout.environments.tables
import turnout.monitoring.tables
import turnout.security.tables
from turnout.base.database import Database, metadata

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
