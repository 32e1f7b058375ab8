"""Migrations make just the tables that the statements are written for."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.exc import OperationalError

from advisor.store import schema
from advisor.store.database import make_engine, writing
from advisor.store.schema import upgrade_schema
from advisor.store.tables import METADATA, SCHEMA_REVISION, VERSION_TABLE

REPOSITORY = Path(__file__).parents[2]


def engine_at(path: Path) -> Engine:
    return make_engine(URL.create("sqlite", database=str(path)))


def definitions(connection: Connection) -> dict[str, str]:
    """Return the SQL of every table and index, spaces aside."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != :version"),
        {"version": VERSION_TABLE},
    )
    return {name: " ".join(sql.split()).replace("( ", "(") for name, sql in rows}


def test_migrations_lead_to_the_present_tables(tmp_path: Path) -> None:
    migrated, direct = engine_at(tmp_path / "migrated.db"), engine_at(tmp_path / "direct.db")
    upgrade_schema(migrated, "migrated.db")
    with writing(direct).begin() as connection:
        METADATA.create_all(connection)
        expected = definitions(connection)

    with migrated.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_revision() == SCHEMA_REVISION
        assert compare_metadata(context, METADATA) == []
        # Alembic does not compare all; SQLite keeps the words.
        assert definitions(connection) == expected
    migrated.dispose()
    direct.dispose()


def test_the_newest_revision_is_the_present_one() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def test_an_upgraded_database_is_left_as_it_is(tmp_path: Path) -> None:
    engine = engine_at(tmp_path / "store.db")
    upgrade_schema(engine, "store.db")
    engine.dispose()
    before = (tmp_path / "store.db").read_bytes()

    upgrade_schema(engine, "store.db")

    engine.dispose()
    assert (tmp_path / "store.db").read_bytes() == before


def test_an_upgraded_database_opens_without_alembic(tmp_path: Path) -> None:
    engine = engine_at(tmp_path / "store.db")
    upgrade_schema(engine, "store.db")
    engine.dispose()
    open_again = (
        "import sys; from advisor.store.opening import open_store;"
        "open_store(sys.argv[1], clock=None, is_owner_dead=None);"
        "sys.exit('alembic' in sys.modules)"
    )

    command = [sys.executable, "-c", open_again, str(tmp_path / "store.db")]
    assert subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0


def test_a_failed_upgrade_leaves_nothing(tmp_path: Path) -> None:
    engine = engine_at(tmp_path / "store.db")
    with writing(engine).begin() as connection:
        connection.execute(text("CREATE TABLE sources (digest)"))

    with pytest.raises(OperationalError, match="already exists"):
        upgrade_schema(engine, "store.db")

    with engine.begin() as connection:
        assert list(definitions(connection)) == ["sources"]
    engine.dispose()


class _Refusing(sqlite3.Connection):
    """A connection whose database others turn to a write-ahead log, too, for a while."""

    refusals = 0

    def cursor(self, *_: object) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(_RefusingCursor)


class _RefusingCursor(sqlite3.Cursor):
    def execute(self, sql: str, *arguments: object) -> _RefusingCursor:
        if "journal_mode" in sql and _Refusing.refusals < 3:
            _Refusing.refusals += 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        super().execute(sql, *arguments)  # type: ignore[arg-type]
        return self


def test_two_that_make_a_database_at_once_do_not_refuse_each_other(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    engine = engine_at(path)
    event.listen(engine, "do_connect", lambda *_: sqlite3.connect(path, factory=_Refusing))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert _Refusing.refusals == 3
    engine.dispose()
