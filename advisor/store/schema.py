"""Brings a database's tables to the present schema."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text

from advisor.domain.errors import StoreUnavailable
from advisor.store.database import writing
from advisor.store.schema_version import VERSIONS, touch_version
from advisor.store.tables import SCHEMA_REVISION, VERSION_TABLE

_LOCK_NUMBER = 0x62736164
"""Names this project's migrations among PostgreSQL's advisory locks; "bsad" in ASCII."""


def upgrade_schema(engine: Engine, place: str) -> None:
    """Migrate a database, new or old, to ``SCHEMA_REVISION``; all of it or nothing.

    Raises:
        OperationalError: The database cannot be written, even where there is nothing to do.
        StoreUnavailable: A newer bsadvise has made it.
    """
    with writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            # Two daemons may find one empty database. SQLite's transaction is a lock itself.
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})"))
        revision = _read_revision(connection)
        if revision != SCHEMA_REVISION:
            _migrate(connection, revision, place)
        touch_version(connection)


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(VERSIONS.c.version_num))


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
