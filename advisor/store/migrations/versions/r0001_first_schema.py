"""The first schema: recommendations, their events, and sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "recommendations",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("recommendation_id", sa.String, nullable=False, unique=True),
        sa.Column("request_id", sa.String, nullable=False, unique=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("device_id", sa.String, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("created_at_s", sa.Double, nullable=False),
        sa.Column("updated_at_s", sa.Double, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("advice", sa.Text),
        sa.Column("refusal", sa.Text),
        sa.Column("refusal_code", sa.String),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_expires_at_s", sa.Double),
        sa.Column("last_sequence", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    _create_recommendation_indexes()
    op.create_table(
        "events",
        sa.Column(
            "recommendation_id",
            sa.String,
            sa.ForeignKey("recommendations.recommendation_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("bundle", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("created_at_s", sa.Double, nullable=False),
    )


def _create_recommendation_indexes() -> None:
    is_running = sa.text("state = 'running'")
    op.create_index("ix_recommendations_state_number", "recommendations", ["state", "number"])
    op.create_index(
        "ix_recommendations_fingerprint_number", "recommendations", ["fingerprint", "number"]
    )
    op.create_index(
        "uq_recommendations_running_device",
        "recommendations",
        ["device_id"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )
