"""Rollbacks: what caused them, what they go back past, and what they cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is recorded of a rollback; nothing that is there changes its meaning."""
    for column in (
        sa.Column("cause", sa.String(length=16), server_default="", nullable=False),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("back_to", sa.Integer(), nullable=True),
        sa.Column("failed_requests", sa.BigInteger(), nullable=True),
    ):
        op.add_column("deployments", column)
