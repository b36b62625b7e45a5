"""The environment manager's tables: projects and their releases."""

from __future__ import annotations

import sqlalchemy as sa

from turnout.base.database import UtcTime, metadata

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("created_at", UtcTime, nullable=False),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("project", sa.String(40), sa.ForeignKey("projects.name"), primary_key=True),
    sa.Column("release", sa.String(64), primary_key=True),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_releases_age", "project", "created_at", "release"),
)
