"""The row that says which schema a database has."""

from __future__ import annotations

from sqlalchemy import Connection, column, false, table, update

from advisor.store.tables import VERSION_TABLE

VERSIONS = table(VERSION_TABLE, column("version_num"))


def touch_version(connection: Connection, *, is_write: bool = False) -> None:
    """Say what it says, to find out whether the database takes it.

    Args:
        connection: The database.
        is_write: Whether to write it. Else nothing is written; but SQLite opens a file that
            it may only read, and complains at the first statement that could write.
    """
    statement = update(VERSIONS).values(version_num=VERSIONS.c.version_num)
    connection.execute(statement if is_write else statement.where(false()))
