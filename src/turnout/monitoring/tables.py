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

# Whose measures the points below are: a revision on a host (instance -1), or one instance of it.
series_sources = sa.Table(
    "series_sources",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("scope", sa.String(81), nullable=False),
    sa.Column("revision", sa.String(16), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("instance", sa.Integer, nullable=False),
    sa.Column("release", sa.String(64), nullable=False),
    sa.UniqueConstraint("scope", "revision", "host", "instance"),
)

# A stretch of time of one source; ``at`` is its beginning in seconds since 1970, ``resolution``
# its length in seconds, ``data`` what monitoring.measures packs.
series_points = sa.Table(
    "series_points",
    metadata,
    sa.Column(
        "source",
        sa.Integer,
        sa.ForeignKey("series_sources.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("resolution", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Until when the points of a resolution have been summed up from those of the finer one.
series_rolled = sa.Table(
    "series_rolled",
    metadata,
    sa.Column("resolution", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)
