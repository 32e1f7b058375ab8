"""One file a revision, numbered; Alembic reads their order from ``down_revision``."""
