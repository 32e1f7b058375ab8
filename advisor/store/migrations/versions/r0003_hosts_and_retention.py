"""Hosts, whose devices a database shared by several must keep apart, and uses of sources."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_RECOMMENDATIONS = sa.table(
    "recommendations",
    sa.column("number", sa.Integer),
    sa.column("request", sa.Text),
    sa.column("source_digest", sa.String),
)


def upgrade() -> None:
    """Add both columns; what is there belongs to the one host that there was."""
    for name in ("host", "source_digest"):
        column = sa.Column(name, sa.String, nullable=False, server_default="")
        op.add_column("recommendations", column)
    _fill_digests()
    op.create_index(
        "ix_recommendations_source_digest_created_at_s",
        "recommendations",
        ["source_digest", "created_at_s"],
    )
    op.drop_index("uq_recommendations_running_device", "recommendations")
    is_running = sa.text("state = 'running'")
    op.create_index(
        "uq_recommendations_running_device",
        "recommendations",
        ["host", "device_id"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )


def _fill_digests() -> None:
    connection = op.get_bind()
    columns = _RECOMMENDATIONS.c
    rows = connection.execute(sa.select(columns.number, columns.request)).all()
    for row in rows:
        connection.execute(
            sa.update(_RECOMMENDATIONS)
            .where(columns.number == row.number)
            .values(source_digest=json.loads(row.request)["source"]["digest"])
        )
