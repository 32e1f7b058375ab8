"""What Alembic runs to migrate the connection that ``advisor.store.schema`` hands it."""

from __future__ import annotations

from alembic import context

from advisor.store.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
