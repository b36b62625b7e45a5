"""Progressive delivery: holds, evidence, decisions, approvals, and the series of the monitoring."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from turnout.base.database import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what progressive delivery records; nothing that is there changes its meaning."""
    _deployments()
    _holds_and_evidence()
    _series()


def _deployments() -> None:
    op.add_column(
        "deployments", sa.Column("promoted_by", sa.Text(), server_default="", nullable=False)
    )
    op.add_column(
        "deployments", sa.Column("drill", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "deployments",
        sa.Column("only", sa.String(length=16), server_default="", nullable=False),
    )


def _holds_and_evidence() -> None:
    op.create_table(
        "holds",
        sa.Column("deployment", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("waiting", sa.JSON(none_as_null=True), nullable=True),
        _of_deployment("holds"),
        sa.PrimaryKeyConstraint("deployment", "position", name=op.f("pk_holds")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(length=40), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("points", sa.JSON(), nullable=False),
        _of_deployment("evidence"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    op.create_index("ix_evidence_deployment", "evidence", ["deployment"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(length=40), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        _of_deployment("decisions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_deployment", "decisions", ["deployment"], unique=False)
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(length=40), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        _of_deployment("approvals"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_deployment", "approvals", ["deployment"], unique=False)


def _series() -> None:
    op.create_table(
        "series_sources",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("scope", sa.String(length=81), nullable=False),
        sa.Column("revision", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("instance", sa.Integer(), nullable=False),
        sa.Column("release", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series_sources")),
        sa.UniqueConstraint(
            "scope", "revision", "host", "instance", name=op.f("uq_series_sources_scope")
        ),
    )
    op.create_table(
        "series_points",
        sa.Column("source", sa.Integer(), nullable=False),
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source"],
            ["series_sources.id"],
            name=op.f("fk_series_points_source"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("source", "resolution", "at", name=op.f("pk_series_points")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series_rolled",
        sa.Column("resolution", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resolution", name=op.f("pk_series_rolled")),
    )


def _of_deployment(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["deployment"], ["deployments.id"], name=op.f(f"fk_{table}_deployment"), ondelete="CASCADE"
    )
