"""Opens the store that a path or a URL names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from advisor.domain.errors import StoreUnavailable
from advisor.ports.clock import Clock
from advisor.store.database import Database, make_engine
from advisor.store.schema import describe_schema, upgrade_schema
from advisor.store.sql import SqlStore
from advisor.store.unavailable import translated

_READ_ONLY = {"mode": "ro", "uri": "true"}


def open_store(
    target: str | Path,
    *,
    clock: Clock,
    is_owner_dead: Callable[[str], bool],
    host: str = "",
) -> SqlStore:
    """Open a database, new or old, and bring its tables up to date.

    Args:
        target: Path of an SQLite file, which is made where there is none, or the URL of a
            database as SQLAlchemy writes it.
        clock: Times events and leases.
        is_owner_dead: Whether the owner of a lease is known to be gone.
        host: Whose devices this daemon's are, in a database that several hosts share.

    Raises:
        StoreUnavailable: It cannot be read or written, or a newer bsadvise has made it.
    """
    url = _url_of(target)
    place = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        place = url.database or ""
        _make_private_file(place)
    engine = make_engine(url)
    try:
        with translated(place):
            upgrade_schema(engine, place)
    except StoreUnavailable:
        engine.dispose()
        raise
    return SqlStore(Database(engine, place), clock, is_owner_dead, host=host)


def describe_store(target: str | Path) -> str:
    """Return what ``open_store`` would find; makes, migrates and writes nothing.

    Raises:
        StoreUnavailable: It cannot be read or written, or a newer bsadvise has made it.
    """
    url = _url_of(target)
    place = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        place = url.database or ""
        if not Path(place).exists():
            return f"{place} is made at the start"
        _check_writable(Path(place))
        # Where nobody has it open there is no log beside it; SQLite would then make one to read.
        is_open = Path(f"{place}-wal").exists()
        query = _READ_ONLY if is_open else _READ_ONLY | {"immutable": "1"}
        url = URL.create("sqlite", database=f"file:{quote(place)}", query=query)
    engine = create_engine(url, hide_parameters=True)
    try:
        with translated(place), engine.connect() as connection:
            return describe_schema(connection, place)
    finally:
        engine.dispose()


def _check_writable(path: Path) -> None:
    for needed in (path, path.parent):
        if not os.access(needed, os.W_OK):
            raise StoreUnavailable(
                f"{needed} cannot be written; give this user write access to the file and to "
                "its directory, or use another state directory"
            )


def _url_of(target: str | Path) -> URL:
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(target))
    try:
        return make_url(target)
    except ArgumentError as error:
        raise StoreUnavailable(f"this is not the URL of a database: {error}") from error


def _make_private_file(place: str) -> None:
    # Users' code and its output are in there. SQLite gives its other files the same mode.
    if place in ("", ":memory:"):
        raise StoreUnavailable("the store needs a file; a database in memory would be lost")
    path = Path(place)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be made ({error.strerror}); give this user write access to "
            "its directory, or use another state directory"
        ) from error
