"""The store on SQLite: the contract, and what only a database on a disk can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bsadvise.model.recommendation import LOCAL, Measured
from sqlalchemy import text

from advisor.domain.errors import StoreUnavailable
from advisor.ports.store import Store
from advisor.store.opening import open_store
from advisor.store.sql import SqlStore
from tests.support.builders import a_gpu, a_measurement, a_recommendation
from tests.support.fake_clock import FakeClock
from tests.support.store_contract import StoreContract
from tests.support.store_contract_base import LEASE_S, SUCCEEDED, running


def open_at(path: Path, clock: FakeClock) -> SqlStore:
    return open_store(path, clock=clock, is_owner_dead=lambda _: False)


class TestSqlStore(StoreContract):
    @pytest.fixture
    async def store(
        self, tmp_path: Path, clock: FakeClock, dead_owners: set[str]
    ) -> AsyncIterator[Store]:
        store = open_store(
            tmp_path / "store.db", clock=clock, is_owner_dead=dead_owners.__contains__
        )
        yield store
        await store.close()


async def test_everything_outlives_the_store(tmp_path: Path) -> None:
    clock = FakeClock()
    first = open_at(tmp_path / "store.db", clock)
    done = (await running(first)).recommendation_id
    await first.append(done, "one", Measured(measurement=a_measurement()))
    await first.finish(done, "one", SUCCEEDED)
    held = await running(first, device=a_gpu())
    await first.put_source("ab" * 32, b"bundle", principal=LOCAL)
    before = (await first.list_page(page_size=10), await first.events(done))
    await first.close()

    second = open_at(tmp_path / "store.db", clock)

    assert (await second.list_page(page_size=10), await second.events(done)) == before
    assert await second.log(done) == (a_measurement(),)
    assert await second.get_source("ab" * 32) == b"bundle"
    await second.renew(held.recommendation_id, "one", lease_s=LEASE_S)
    await second.close()


async def test_two_stores_on_one_database_see_each_others_work(tmp_path: Path) -> None:
    clock = FakeClock()
    one, two = (open_at(tmp_path / "store.db", clock) for _ in range(2))
    recommendation_id = (await running(one)).recommendation_id
    await two.create(a_recommendation())

    await two.request_cancel(recommendation_id)

    assert await two.claim("two", lease_s=LEASE_S) is None
    assert await one.renew(recommendation_id, "one", lease_s=LEASE_S)
    await one.close()
    await two.close()


async def test_numbers_of_deleted_recommendations_are_not_given_again(tmp_path: Path) -> None:
    store = open_at(tmp_path / "store.db", FakeClock())
    older = [await store.create(a_recommendation()) for _ in range(3)]
    page = await store.list_page(page_size=2)
    for recommendation in older:
        await store.delete(recommendation.recommendation_id)
    await store.create(a_recommendation())

    rest = await store.list_page(page_size=10, page_token=page.next_page_token)

    assert rest.recommendations == ()
    await store.close()


async def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    store = open_at(tmp_path / "store.db", FakeClock())

    settings = await store._database.write(
        lambda c: [c.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
    )

    assert settings == ["wal", 2]
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_at(tmp_path / "store.db", FakeClock())
    await store.close()

    with pytest.raises(StoreUnavailable, match=r"store\.db has been closed"):
        await store.list_page(page_size=1)


async def test_a_queue_is_a_host_s_own(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "store.db"
    stores = [
        open_store(path, clock=clock, is_owner_dead=lambda _: False, host=host)
        for host in ("one", "two")
    ]
    waiting = []
    for store in stores:
        await running(store)
        waiting.append((await store.create(a_recommendation())).recommendation_id)

    queues = [await store.queue("cpu") for store in stores]

    assert [[e.recommendation_id for e in queue.entries] for queue in queues] == [
        [recommendation_id] for recommendation_id in waiting
    ]
    for store in stores:
        await store.close()
