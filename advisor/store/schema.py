"""Brings a database's tables to the present schema."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, select, text

from advisor.domain.errors import StoreUnavailable
from advisor.store.database import writing
from advisor.store.schema_version import VERSIONS, touch_version
from advisor.store.tables import SCHEMA_REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

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


def describe_schema(connection: Connection, place: str) -> str:
    """Return what ``upgrade_schema`` would do; only reads.

    Raises:
        StoreUnavailable: A newer bsadvise has made it.
    """
    revision = _read_revision(connection)
    if revision == SCHEMA_REVISION:
        return f"{place} is up to date (schema {revision})"
    if revision is None:
        return f"{place} is empty; its tables are made at the start"
    _check_known(revision, _scripts()[1], place)
    return f"{place} has schema {revision}; it is migrated to {SCHEMA_REVISION} at the start"


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(VERSIONS.c.version_num))


def _migrate(connection: Connection, revision: str | None, place: str) -> None:
    # Imported here because it takes 0.3 s, and a database that is up to date needs none of it.
    from alembic import command  # noqa: PLC0415

    config, known = _scripts()
    if revision is not None:
        _check_known(revision, known, place)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> tuple[Config, Collection[str]]:
    from alembic.config import Config  # noqa: PLC0415 - as above
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return config, {
        script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
    }


def _check_known(revision: str, known: Collection[str], place: str) -> None:
    if revision not in known:
        raise StoreUnavailable(
            f"{place} was made by a newer bsadvise (schema {revision}, this one knows "
            f"{SCHEMA_REVISION}); upgrade bsadvise, or use another state directory"
        )
