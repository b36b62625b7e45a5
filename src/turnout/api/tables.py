"""The API's table: requests that carry an idempotency key, with their answers."""

from __future__ import annotations

import sqlalchemy as sa

from turnout.base.database import UtcTime, metadata

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("account", sa.String(80), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    # SHA-256 over method, path, content type and body.
    sa.Column("request", sa.String(64), nullable=False),
    # Which run of the server took the request; another run's unfinished row is an orphan.
    sa.Column("boot", sa.String(32), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON),
    sa.Column("answer", sa.LargeBinary),
    sa.Column("created_at", UtcTime, nullable=False, index=True),
)
