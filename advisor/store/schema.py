"""Brings a database's tables to the present schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, column, delete, false, inspect, select, table

from advisor.domain.errors import StoreUnavailable
from advisor.store.database import writing
from advisor.store.tables import SCHEMA_REVISION, VERSION_TABLE

_VERSIONS = table(VERSION_TABLE, column("version_num"))


def upgrade_schema(engine: Engine, place: str) -> None:
    """Migrate a database, new or old, to ``SCHEMA_REVISION``; all of it or nothing.

    Raises:
        OperationalError: The database cannot be written, even where there is nothing to do.
        StoreUnavailable: A newer bsadvise has made it.
    """
    with writing(engine).begin() as connection:
        revision = _read_revision(connection)
        if revision != SCHEMA_REVISION:
            _migrate(connection, revision, place)
        # SQLite opens a file that it may only read, and complains at the first statement that
        # could write; this one could.
        connection.execute(delete(_VERSIONS).where(false()))


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(_VERSIONS.c.version_num))


def _migrate(connection: Connection, revision: str | None, place: str) -> None:
    # Imported here because it takes 0.3 s, and a database that is up to date needs none of it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreUnavailable(
            f"{place} was made by a newer bsadvise (schema {revision}, this one knows "
            f"{SCHEMA_REVISION}); upgrade bsadvise, or use another state directory"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
