"""A database that cannot be used says which it is and what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bsadvise.model.recommendation import LOCAL
from sqlalchemy.exc import IntegrityError

from advisor.domain.errors import RecordUnreadable, StoreFull, StoreUnavailable
from advisor.ports.store import Retention
from advisor.store.opening import open_store
from advisor.store.sql import SqlStore
from advisor.store.tables import VERSION_TABLE
from advisor.store.unavailable import translated
from tests.support.builders import a_recommendation
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.rights


def open_at(target: str | Path) -> SqlStore:
    return open_store(target, clock=FakeClock(), is_owner_dead=lambda _: False)


async def make(path: Path) -> None:
    """Make a database with one recommendation."""
    store = open_at(path)
    await store.create(a_recommendation())
    await store.close()


def damage(path: Path) -> None:
    """Write over all but the header of a database."""
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("These are my notes.\n" * 100, encoding="utf-8")

    with pytest.raises(StoreUnavailable, match=r"store\.db is damaged, or is not a database"):
        open_at(path)

    assert path.read_text(encoding="utf-8").startswith("These are my notes.")


async def test_a_damaged_database(path: Path) -> None:
    await make(path)
    damage(path)

    with pytest.raises(StoreUnavailable, match="is damaged"):
        open_at(path)


async def test_a_newer_database(path: Path) -> None:
    await make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
        connection.commit()

    with pytest.raises(StoreUnavailable, match=r"made by a newer bsadvise .*9999.* upgrade"):
        open_at(path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match=r"store\.db cannot be made \(.*\); give this user"):
        open_at(tmp_path / "file" / "store.db")


@pytest.mark.parametrize("locked", ["file", "directory"])
async def test_a_database_that_may_not_be_written(path: Path, locked: str) -> None:
    await make(path)
    locked_path = path if locked == "file" else path.parent
    mode = locked_path.stat().st_mode
    locked_path.chmod(mode & ~0o222)
    if os.access(locked_path, os.W_OK):
        pytest.skip("this user may write anywhere")
    try:
        with pytest.raises(StoreUnavailable, match=r"store\.db cannot be opened for writing"):
            open_at(path)
    finally:
        locked_path.chmod(mode)


async def set_pragma(store: SqlStore, setting: str) -> None:
    """Set something on the one connection that a store has while it does one thing at a time."""
    await store._database.read(lambda c: c.exec_driver_sql(f"PRAGMA {setting}"))


async def test_a_read_only_database_can_be_read_and_recovers(path: Path) -> None:
    store = open_at(path)
    created = await store.create(a_recommendation())
    await set_pragma(store, "query_only = ON")

    with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
        await store.create(a_recommendation())

    assert await store.get(created.recommendation_id) == created
    await set_pragma(store, "query_only = OFF")
    await store.create(a_recommendation())
    await store.close()


async def test_a_full_disk_refuses_new_work_and_recovers(path: Path) -> None:
    store = open_at(path)
    created = await store.create(a_recommendation())
    bundle = b"x" * 1_000_000

    # SQLite meets this limit as it meets the end of the disk.
    await set_pragma(store, "max_page_count = 1")

    with pytest.raises(StoreUnavailable, match=r"the disk that holds .*store\.db is full"):
        await store.put_source("ab" * 32, bundle, principal=LOCAL)

    assert await store.get(created.recommendation_id) == created
    await set_pragma(store, "max_page_count = 1000000")
    assert not await store.has_source("ab" * 32, principal=LOCAL)
    await store.put_source("ab" * 32, bundle, principal=LOCAL)
    assert await store.get_source("ab" * 32) == bundle
    await store.close()


async def test_a_database_that_another_process_locks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advisor.store.database.BUSY_TIMEOUT_S", 0.01)
    store = open_at(path)
    created = await store.create(a_recommendation())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"store\.db has been locked by another"):
            await store.create(a_recommendation())
        assert await store.get(created.recommendation_id) == created
        other.execute("ROLLBACK")

    await store.create(a_recommendation())
    await store.close()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sqlite://", "the store needs a file"),
        ("sqlite:///:memory:", "the store needs a file"),
        ("://", "not the URL of a database"),
    ],
)
def test_a_url_that_names_no_lasting_database(target: str, message: str) -> None:
    with pytest.raises(StoreUnavailable, match=message):
        open_at(target)


async def test_a_defect_is_not_hidden(path: Path) -> None:
    store = open_at(path)
    recommendation = await store.create(a_recommendation())

    with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
        await store.create(a_recommendation(recommendation_id=recommendation.recommendation_id))

    await store.close()


async def test_a_full_disk_is_told_apart_and_found_free_again(path: Path) -> None:
    store = open_at(path)
    await store.create(a_recommendation())
    await set_pragma(store, "max_page_count = 1")
    with pytest.raises(StoreFull):
        await store.put_source("ab" * 32, b"x" * 1_000_000, principal=LOCAL)
    await set_pragma(store, "max_page_count = 1000000")

    await store.check()

    await store.put_source("ab" * 32, b"x" * 1_000_000, principal=LOCAL)
    await store.close()


async def test_a_check_finds_what_may_only_be_read(path: Path) -> None:
    store = open_at(path)
    await store.check()
    await set_pragma(store, "query_only = ON")

    with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
        await store.check()
    with pytest.raises(StoreUnavailable, match="cannot be opened for writing"):
        await store.check()  # now by a write

    await set_pragma(store, "query_only = OFF")
    await store.check()
    await store.close()


WRITE_UNTIL_FULL = """
import asyncio, resource, signal, sys
from bsadvise.model.recommendation import LOCAL
from advisor.domain.errors import StoreFull
from advisor.store.opening import open_store
from tests.support.fake_clock import FakeClock

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    store = open_store(sys.argv[1], clock=FakeClock(), is_owner_dead=lambda _: False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    kept = []
    try:
        for number in range(100):
            await store.put_source(f"{number:064x}", bytes(50_000), principal=LOCAL)
            kept.append(number)
    except Exception as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.check()
    await store.put_source("f" * 64, bytes(5_000_000), principal=LOCAL)
    there = [await store.has_source(f"{number:064x}", principal=LOCAL) for number in kept]
    print(all(there), len(kept) > 5)
    await store.close()

asyncio.run(main())
"""


def test_what_was_kept_outlives_files_that_may_not_grow(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_FULL, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == ["StoreUnavailable", "True", "True"], ended.stderr


@pytest.mark.parametrize(
    ("error", "translation"),
    [
        (sqlite3.OperationalError("database or disk is full"), StoreUnavailable),
        (OSError(24, "too many open files"), StoreUnavailable),
        (MemoryError(), StoreUnavailable),
        (RecursionError(), RecordUnreadable),
        (sqlite3.ProgrammingError("a defect of ours"), sqlite3.ProgrammingError),
    ],
)
def test_errors_past_sqlalchemy_are_translated(
    error: Exception, translation: type[Exception]
) -> None:
    with pytest.raises(translation) as caught, translated("store.db"):
        raise error
    assert type(caught.value) is translation


async def test_a_database_that_has_shrunk_gives_its_space_back(path: Path) -> None:
    clock = FakeClock()
    store = open_store(path, clock=clock, is_owner_dead=lambda _: False)
    for number in range(20):
        await store.put_source(f"{number:064x}", b"x" * 500_000, principal=LOCAL)
    clock.advance(1)
    await store.prune(
        Retention(
            finished_before_s=0.0,
            keep_count=0,
            keep_source_bytes=0,
            sources_unused_since_s=clock.now_s(),
        )
    )
    await store.compact()

    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 1_000_000
    created = await store.create(a_recommendation())
    assert await store.get(created.recommendation_id) == created
    await store.close()
