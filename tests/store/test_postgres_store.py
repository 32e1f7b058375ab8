"""The store on PostgreSQL: the contract, and several daemons on several hosts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, make_url

from advisor.domain.errors import StoreUnavailable
from advisor.ports.store import Store
from advisor.store.opening import describe_store, open_store
from advisor.store.sql import SqlStore
from advisor.store.tables import METADATA, VERSION_TABLE
from tests.support.builders import a_gpu, a_recommendation
from tests.support.fake_clock import FakeClock
from tests.support.postgres import MakeDatabase, empty
from tests.support.store_contract import StoreContract
from tests.support.store_contract_base import LEASE_S, running
from tests.support.store_processes import open_shared

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared_url(make_postgres_database: MakeDatabase) -> str:
    return make_postgres_database()


class TestPostgresStore(StoreContract):
    @pytest.fixture
    async def store(
        self, shared_url: str, clock: FakeClock, dead_owners: set[str]
    ) -> AsyncIterator[Store]:
        store = open_store(shared_url, clock=clock, is_owner_dead=dead_owners.__contains__)
        yield store
        await store.close()
        empty(shared_url)


@pytest.fixture
def url(make_postgres_database: MakeDatabase) -> str:
    return make_postgres_database()


def open_at(url: str, clock: FakeClock, host: str = "") -> SqlStore:
    return open_store(url, clock=clock, is_owner_dead=lambda _: False, host=host)


async def test_what_a_start_would_do_is_said_and_not_done(url: str) -> None:
    assert "is empty" in describe_store(url)
    assert "is empty" in describe_store(url)
    await open_at(url, FakeClock()).close()
    assert "is up to date" in describe_store(url)
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        describe_store(make_url(url).set(database="none").render_as_string(hide_password=False))


async def test_migrations_lead_to_the_present_tables(url: str) -> None:
    await open_at(url, FakeClock()).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


async def test_many_daemons_may_make_one_empty_database(url: str) -> None:
    opening = (asyncio.to_thread(open_at, url, FakeClock()) for _ in range(6))
    stores = await asyncio.gather(*opening)
    created = await stores[0].create(a_recommendation())
    for store in stores:
        assert await store.get(created.recommendation_id) == created
        await store.close()


def test_processes_claim_each_recommendation_once(url: str) -> None:
    command = [sys.executable, "-m", "tests.support.store_processes", "claim", url]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
        created = _create_many(url, 60)
        for process in processes:
            _tell(process)
        claimed: Counter[str] = Counter()
        for process in processes:
            assert process.stdout is not None
            claimed.update(line.strip() for line in iter(process.stdout.readline, "done\n"))
        for process in processes:
            _tell(process)
    assert claimed == Counter(created)


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _create_many(url: str, count: int) -> list[str]:
    async def create() -> list[str]:
        store = open_shared(url)
        created = [await store.create(a_recommendation(device=a_gpu(i))) for i in range(count)]
        await store.close()
        return [recommendation.recommendation_id for recommendation in created]

    return asyncio.run(create())


async def test_a_host_works_for_its_own_devices_alone(url: str) -> None:
    clock = FakeClock()
    one, two = (open_at(url, clock, host) for host in ("one", "two"))
    first = await running(one)
    second = await two.create(a_recommendation())

    claimed = await two.claim("two", lease_s=LEASE_S)

    assert claimed is not None
    assert claimed.recommendation.recommendation_id == second.recommendation_id
    clock.advance(2 * LEASE_S)
    taken = await two.claim("three", lease_s=LEASE_S)
    assert taken is not None
    assert taken.is_takeover
    assert taken.recommendation.recommendation_id == second.recommendation_id
    assert await two.claim("three", lease_s=LEASE_S) is None
    assert await two.get(first.recommendation_id) == first
    await one.close()
    await two.close()


async def test_a_server_that_went_away_is_asked_again(
    make_postgres_database: MakeDatabase, url: str
) -> None:
    store = open_at(url, FakeClock())
    created = await store.create(a_recommendation())
    admin = create_engine(make_url(make_postgres_database()), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (make_url(url).database,),
        )
    admin.dispose()

    await store.check()
    assert await store.get(created.recommendation_id) == created
    await store.close()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nobody") as caught:
        open_at(f"postgresql+psycopg://nobody:secret@/x?host={tmp_path}", FakeClock())
    assert "secret" not in str(caught.value)
