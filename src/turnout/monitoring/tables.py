"""The monitoring service's tables."""

from __future__ import annotations

import sqlalchemy as sa

from turnout.base.database import UtcTime, metadata

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("project", sa.String(40)),
    sa.Column("environment", sa.String(40)),
    sa.Column("deployment", sa.String(40), index=True),
    sa.Column("data", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
