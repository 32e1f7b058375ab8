"""How much is kept of each recommendation, so that it can be counted against a quota."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Count the bytes of what is there."""
    op.add_column(
        "recommendations",
        sa.Column("kept_bytes", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.execute(
        "UPDATE recommendations SET kept_bytes = length(request) + coalesce("
        "(SELECT sum(length(events.body)) FROM events "
        "WHERE events.recommendation_id = recommendations.recommendation_id), 0)"
    )
    op.create_index(
        "ix_recommendations_principal_kept_bytes", "recommendations", ["principal", "kept_bytes"]
    )
