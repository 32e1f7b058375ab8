"""The road from every released schema to the present one, walked by Alembic.

A change of ``advisor.store.tables`` comes with a new file in ``versions``, written by hand,
and a new ``SCHEMA_REVISION``; a test compares what both make. A released revision is never
changed.
"""
