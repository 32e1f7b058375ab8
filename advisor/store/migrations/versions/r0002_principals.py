"""Principals: whose each thing is, their tokens, their uploads and their use of devices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give what is there to the daemon's owner, and make the new tables."""
    _extend_recommendations()
    op.create_table(
        "uploads",
        sa.Column("principal", sa.String, primary_key=True),
        sa.Column(
            "digest",
            sa.String,
            sa.ForeignKey("sources.digest", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("uploaded_at_s", sa.Double, nullable=False),
    )
    op.execute(
        "INSERT INTO uploads (principal, digest, size_bytes, uploaded_at_s) "
        "SELECT 'local', digest, size_bytes, created_at_s FROM sources"
    )
    op.create_table(
        "usage",
        sa.Column("principal", sa.String, primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("device_s", sa.Double, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("created_at_s", sa.Double, nullable=False),
        sa.Column("expires_at_s", sa.Double, nullable=False),
        sa.Column("revoked_at_s", sa.Double),
    )


def _extend_recommendations() -> None:
    # Not through Alembic's batches: they make the table anew, and SQLite would remove the
    # events together with the old one.
    op.execute("ALTER TABLE recommendations RENAME COLUMN request_id TO request_key")
    op.execute("UPDATE recommendations SET request_key = 'local ' || request_key")
    for column in (
        sa.Column("principal", sa.String, nullable=False, server_default="local"),
        sa.Column("priority_rank", sa.Integer, nullable=False, server_default="1"),
        sa.Column("budget_s", sa.Double, nullable=False, server_default="60.0"),
        sa.Column("charged_at_s", sa.Double),
    ):
        op.add_column("recommendations", column)
    op.create_index(
        "ix_recommendations_principal_number", "recommendations", ["principal", "number"]
    )
