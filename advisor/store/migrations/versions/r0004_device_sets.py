"""Leases that hold sets of devices, and logs that are begun anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Move the one device of each recommendation into the table of sets."""
    op.create_table(
        "recommendation_devices",
        sa.Column(
            "recommendation_id",
            sa.String,
            sa.ForeignKey("recommendations.recommendation_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("device_id", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("is_leased", sa.Boolean, nullable=False),
    )
    op.execute(
        "INSERT INTO recommendation_devices "
        "(recommendation_id, device_id, position, host, is_leased) "
        "SELECT recommendation_id, device_id, 0, host, state = 'running' FROM recommendations"
    )
    op.create_index(
        "ix_recommendation_devices_host_device_id", "recommendation_devices", ["host", "device_id"]
    )
    op.create_index(
        "uq_recommendation_devices_leased",
        "recommendation_devices",
        ["host", "device_id"],
        unique=True,
        sqlite_where=sa.text("is_leased"),
        postgresql_where=sa.text("is_leased"),
    )
    op.drop_index("uq_recommendations_running_device", "recommendations")
    op.drop_column("recommendations", "device_id")
    op.add_column(
        "recommendations",
        sa.Column("log_after_sequence", sa.Integer, nullable=False, server_default="0"),
    )
