"""The coordinator's tables: deployments, their steps, and what is live where."""

from __future__ import annotations

import sqlalchemy as sa

from turnout.base.database import UtcTime, metadata

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("revision", sa.String(16), nullable=False),
    sa.Column("previous_release", sa.String(64)),
    sa.Column("strategy", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("phase", sa.String(32)),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("requested_by", sa.String(120), nullable=False),
    sa.Column("intent", sa.JSON, nullable=False),
    sa.Column("plan", sa.JSON),
    sa.Column("control", sa.String(16), nullable=False, server_default="go"),
    sa.Column("control_reason", sa.Text, nullable=False, server_default=""),
    # Who asked to promote now; empty for nobody.
    sa.Column("promoted_by", sa.Text, nullable=False, server_default=""),
    # A rollback that is only rehearsed, and which part of the release unit it is about.
    sa.Column("drill", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("only", sa.String(16), nullable=False, server_default=""),
    # What made it go back, whether past the point of no return, and to which row of the history.
    sa.Column("cause", sa.String(16), nullable=False, server_default=""),
    sa.Column("forced", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("back_to", sa.Integer),
    # Live requests of the scope that failed meanwhile; null while nobody has counted.
    sa.Column("failed_requests", sa.BigInteger),
    sa.Column("uploaded_bytes", sa.BigInteger, nullable=False),
    sa.Column("reused_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("problem", sa.JSON),
    sa.Index("ix_deployments_scope", "project", "environment", "status"),
    sa.Index("ix_deployments_status", "status"),
)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column(
        "deployment",
        sa.String(40),
        sa.ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("host", sa.String(40)),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Column("result", sa.JSON),
)

phases = sa.Table(
    "phases",
    metadata,
    sa.Column(
        "deployment",
        sa.String(40),
        sa.ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("finished_at", UtcTime),
)

# What a step that waits has seen so far, so that it goes on from the same evidence.
holds = sa.Table(
    "holds",
    metadata,
    sa.Column(
        "deployment",
        sa.String(40),
        sa.ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
    # What it waits for, as people read it; null when it waits no longer.
    sa.Column("waiting", sa.JSON(none_as_null=True)),
)

# The seconds that were judged, some of them a row, and what was decided from them.
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("deployment", sa.String(40), sa.ForeignKey("deployments.id", ondelete="CASCADE")),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("points", sa.JSON, nullable=False),
    sa.Index("ix_evidence_deployment", "deployment"),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("deployment", sa.String(40), sa.ForeignKey("deployments.id", ondelete="CASCADE")),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("weight", sa.Integer, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.String(120), nullable=False),
    sa.Index("ix_decisions_deployment", "deployment"),
)

# A yes or a no to one gate of one plan.
approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("deployment", sa.String(40), sa.ForeignKey("deployments.id", ondelete="CASCADE")),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("approved", sa.Boolean, nullable=False),
    sa.Column("by", sa.String(120), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_approvals_deployment", "deployment"),
)

# One row a scope: which deployment holds it, what is live in it, what it can go back to.
scopes = sa.Table(
    "scopes",
    metadata,
    sa.Column("project", sa.String(40), primary_key=True),
    sa.Column("environment", sa.String(40), primary_key=True),
    sa.Column("holder", sa.String(40)),
    sa.Column("placement_version", sa.Integer, nullable=False, server_default="0"),
    # Row numbers of the history below.
    sa.Column("live", sa.Integer),
    sa.Column("live_since", UtcTime),
    sa.Column("previous", sa.Integer),
    sa.Column("warm_until", UtcTime),
    sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
)

# Every revision that was confirmed live, newest last: what a rollback can choose from.
history = sa.Table(
    "history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("environment", sa.String(40), nullable=False),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("revision", sa.String(16), nullable=False),
    sa.Column("intent", sa.JSON, nullable=False),
    sa.Column("deployment", sa.String(40), nullable=False, unique=True),
    sa.Column("confirmed_at", UtcTime, nullable=False),
    # A rollback withdraws what came after its target: no later rollback picks it unasked.
    sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("ix_history_scope", "project", "environment"),
)
