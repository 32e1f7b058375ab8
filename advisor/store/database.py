"""Transactions on the database, run in threads beside the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from advisor.domain.errors import StoreUnavailable
from advisor.store.retention import compact
from advisor.store.schema_version import touch_version
from advisor.store.unavailable import BUSY_TIMEOUT_S, translated

T = TypeVar("T")

_WRITES = "bsadvise_writes"
_READER_COUNT = 4
_AGAIN_S = 0.01


def make_engine(url: URL) -> Engine:
    """Return an engine whose transactions keep this project's promises on that database."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(engine: Engine) -> Engine:
    """Return the same engine for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions; _begin_sqlite does
    cursor = connection.cursor()
    _write_ahead(cursor)
    # A change of state must survive a power cut: its client may have been told. A commit then
    # waits for the disk, about 6 ms, which measurements of seconds do not notice.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _write_ahead(cursor: DBAPICursor) -> None:
    """Have a write-ahead log, so that readers and the writer do not wait for each other.

    Where two connections turn a new database to it at once, SQLite refuses one of them at once,
    whatever its timeout: each waits for the other to let go.
    """
    deadline_s = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline_s:
                raise
            sleep(_AGAIN_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads before it writes must hold the write lock from the start: SQLite
    # has no row locks, and refuses at once to turn an outdated reader into a writer.
    is_write = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


class Database:
    """Runs each piece of work in a transaction of its own, in a thread.

    On SQLite one thread does all the writing, since it allows one writer at a time, and a queue
    in memory is fairer and quicker than its lock. Safe for concurrent use by tasks.
    """

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine
        self._place = place
        writer_count = 1 if engine.dialect.name == "sqlite" else _READER_COUNT
        self._readers = ThreadPoolExecutor(_READER_COUNT, "store-read")
        self._writers = ThreadPoolExecutor(writer_count, "store-write")
        self._is_closed = False
        self._has_write_failed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run work that only reads, on one snapshot. Raises StoreUnavailable."""
        return await self._run(self._readers, self._engine, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run work and commit it, or nothing of it. Raises StoreUnavailable."""
        try:
            result = await self._run(self._writers, writing(self._engine), work)
        except StoreUnavailable:
            self._has_write_failed = True
            raise
        self._has_write_failed = False
        return result

    async def check(self) -> None:
        """Raise StoreUnavailable unless the database can be read and written.

        After a write that failed, a write that succeeds is the proof; a full disk shows in
        nothing less. Else none is made, since each wears the disk.
        """
        is_write = self._has_write_failed
        await self.write(lambda connection: touch_version(connection, is_write=is_write))

    async def compact(self) -> None:
        """Give freed space back to the disk, where there is much. Raises StoreUnavailable."""

        def run() -> None:
            with translated(self._place):
                compact(self._engine)

        await asyncio.get_running_loop().run_in_executor(self._writers, run)

    async def close(self) -> None:
        """Finish what has begun and close all connections. Idempotent."""
        self._is_closed = True
        for executor in (self._readers, self._writers):
            await asyncio.to_thread(executor.shutdown)
        self._engine.dispose()

    async def _run(
        self, executor: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]
    ) -> T:
        if self._is_closed:
            raise StoreUnavailable(f"{self._place} has been closed")

        def transact() -> T:
            with translated(self._place), engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(executor, transact)
