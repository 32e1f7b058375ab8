"""What every store must do: keep what is wanted, and remove what is not."""

from __future__ import annotations

from typing import Any

import pytest
from bsadvise.model.recommendation import LOCAL, Measured, Recommendation, State

from advisor.domain.errors import NotFound
from advisor.ports.store import InUse, Removed, Retention, Share, Store
from tests.support.builders import a_gpu, a_measurement, a_recommendation, a_request, a_source
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import (
    INTERRUPTED,
    LEASE_S,
    SUCCEEDED,
    StoreFixtures,
    running,
)

EVERYTHING = Retention(
    finished_before_s=0.0, keep_count=1000, keep_source_bytes=1 << 30, sources_unused_since_s=0.0
)
HOUR_S = 3600.0
DIGESTS = tuple(f"{number:064x}" for number in range(4))


async def finished(store: Store, clock: FakeClock, **changes: Any) -> str:
    """Create a recommendation now, and carry it to its end."""
    now_s = clock.now_s()
    recommendation = await running(store, created_at_s=now_s, updated_at_s=now_s, **changes)
    await store.append(
        recommendation.recommendation_id, "one", Measured(measurement=a_measurement())
    )
    await store.finish(recommendation.recommendation_id, "one", SUCCEEDED)
    return recommendation.recommendation_id


def about(digest: str) -> dict[str, Any]:
    """Return what a recommendation about a source differs in."""
    return {"request": a_request(source=a_source(digest=digest))}


def keep(**changes: float) -> Retention:
    """Return a retention that removes nothing, but for what is said."""
    values = {
        "finished_before_s": EVERYTHING.finished_before_s,
        "keep_count": EVERYTHING.keep_count,
        "keep_source_bytes": EVERYTHING.keep_source_bytes,
        "sources_unused_since_s": EVERYTHING.sources_unused_since_s,
    }
    return Retention(**values | changes)  # type: ignore[arg-type] # counts are whole


class RetentionContract(StoreFixtures):
    async def test_nothing_is_removed_without_a_reason(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)
        recommendation_id = await finished(store, clock)

        assert await store.prune(EVERYTHING) == Removed(
            recommendation_count=0, source_count=0, source_bytes=0
        )

        assert await store.log(recommendation_id) == (a_measurement(),)
        assert await store.has_source(DIGESTS[0], principal=LOCAL)
        await store.compact()
        await store.check()

    async def test_what_ended_long_ago_goes_with_its_events(
        self, store: Store, clock: FakeClock
    ) -> None:
        old = await finished(store, clock)
        held = await running(store, device=a_gpu())
        waiting = await store.create(a_recommendation(device=a_gpu()))
        clock.advance(100)
        await store.renew(held.recommendation_id, "one", lease_s=LEASE_S)
        new = await finished(store, clock)

        removed = await store.prune(keep(finished_before_s=clock.now_s()))

        assert removed.recommendation_count == 1
        for read in (store.get, store.log, store.events):
            with pytest.raises(NotFound):
                await read(old)
        rest = (await store.list_page(page_size=10)).recommendations
        assert {r.recommendation_id for r in rest} == {
            waiting.recommendation_id,
            held.recommendation_id,
            new,
        }

    async def test_only_the_newest_are_kept_of_too_many(
        self, store: Store, clock: FakeClock
    ) -> None:
        ids = [await finished(store, clock) for _ in range(5)]
        waiting = await store.create(a_recommendation())

        removed = await store.prune(keep(keep_count=2))

        assert removed.recommendation_count == 3
        rest = (await store.list_page(page_size=10)).recommendations
        assert [r.recommendation_id for r in rest] == [
            waiting.recommendation_id,
            ids[4],
            ids[3],
        ]

    async def test_the_sources_used_last_are_kept_of_too_many_bytes(
        self, store: Store, clock: FakeClock
    ) -> None:
        for digest in DIGESTS:
            await store.put_source(digest, b"x" * 10, principal=LOCAL)
            clock.advance(1)
        await finished(store, clock, **about(DIGESTS[0]))
        clock.advance(1)

        removed = await store.prune(
            keep(keep_source_bytes=20, sources_unused_since_s=clock.now_s())
        )

        assert removed == Removed(recommendation_count=0, source_count=2, source_bytes=20)
        assert [await store.has_source(digest, principal=LOCAL) for digest in DIGESTS] == [
            True,
            False,
            False,
            True,
        ]

    async def test_who_keeps_much_pushes_out_nothing_of_who_keeps_little(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x" * 10, principal="alice")
        own = [await finished(store, clock, principal="alice") for _ in range(2)]
        for digest in DIGESTS[1:]:
            clock.advance(1)
            await store.put_source(digest, b"x" * 10, principal="mallory")
        others = [await finished(store, clock, principal="mallory") for _ in range(8)]
        clock.advance(1)

        removed = await store.prune(
            keep(keep_count=5, keep_source_bytes=20, sources_unused_since_s=clock.now_s())
        )

        assert removed == Removed(recommendation_count=5, source_count=2, source_bytes=20)
        rest = (await store.list_page(page_size=20)).recommendations
        assert {r.recommendation_id for r in rest} == {*own, *others[-3:]}
        assert await store.has_source(DIGESTS[0], principal="alice")
        assert await store.has_source(DIGESTS[3], principal="mallory")

    async def test_what_no_lease_counts_is_charged_all_the_same(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.charge("alice", 2.0)
        clock.advance(2 * HOUR_S)
        await store.charge("alice", 3.0)

        assert await store.used_device_s("alice") == 5.0
        assert await store.used_device_s("bob") == 0.0
        clock.advance(23 * HOUR_S)
        assert await store.used_device_s("alice") == 3.0

    async def test_a_source_unused_for_long_goes_whatever_its_size(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)
        clock.advance(100)
        await store.put_source(DIGESTS[1], b"x", principal=LOCAL)
        now_s = clock.now_s()
        clock.advance(1)

        await store.prune(keep(finished_before_s=now_s, sources_unused_since_s=clock.now_s()))

        assert [await store.has_source(digest, principal=LOCAL) for digest in DIGESTS[:2]] == [
            False,
            True,
        ]

    async def test_a_source_that_another_has_sent_since_is_fresh(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)
        clock.advance(100)
        await store.put_source(DIGESTS[0], b"x", principal="another")

        await store.prune(keep(keep_source_bytes=0, sources_unused_since_s=clock.now_s()))

        assert await store.has_source(DIGESTS[0], principal=LOCAL)

    async def test_a_source_is_kept_while_it_is_waited_for_or_fresh(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)
        await store.create(a_recommendation(**about(DIGESTS[0])))
        clock.advance(100)
        await store.put_source(DIGESTS[1], b"x", principal=LOCAL)

        await store.prune(keep(keep_source_bytes=0, sources_unused_since_s=clock.now_s()))

        assert await store.has_source(DIGESTS[0], principal=LOCAL)
        assert await store.has_source(DIGESTS[1], principal=LOCAL)

    async def test_a_source_that_was_removed_can_be_put_again(
        self, store: Store, clock: FakeClock
    ) -> None:
        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)
        clock.advance(1)
        await store.prune(keep(keep_source_bytes=0, sources_unused_since_s=clock.now_s()))
        assert not await store.has_source(DIGESTS[0], principal=LOCAL)

        await store.put_source(DIGESTS[0], b"x", principal=LOCAL)

        assert await store.get_source(DIGESTS[0]) == b"x"

    async def test_use_is_kept_for_as_long_as_quotas_ask_for_it(
        self, store: Store, clock: FakeClock
    ) -> None:
        await self._used(store, clock)
        clock.advance(23 * HOUR_S)
        assert (await store.prune(EVERYTHING)).usage_count == 0
        assert (await self._share(store)).device_s == 10.0

        clock.advance(2 * HOUR_S)
        assert (await store.prune(EVERYTHING)).usage_count == 1
        assert (await store.prune(EVERYTHING)).usage_count == 0
        assert (await self._share(store)).device_s == 0.0

    async def _used(self, store: Store, clock: FakeClock) -> None:
        held = await running(store)
        clock.advance(10)
        await store.finish(held.recommendation_id, "one", SUCCEEDED)

    async def _share(self, store: Store) -> Share:
        waiting = await store.create(a_recommendation())
        share = (await store.queue(waiting.device.device_id)).shares[waiting.principal]
        await store.delete(waiting.recommendation_id)
        return share

    async def test_counts_what_waits_and_runs(self, store: Store, clock: FakeClock) -> None:
        assert await store.count_unfinished() == {State.QUEUED: 0, State.RUNNING: 0}
        await finished(store, clock)
        await running(store)
        for _ in range(2):
            await store.create(a_recommendation())

        assert await store.count_unfinished() == {State.QUEUED: 2, State.RUNNING: 1}

    async def test_what_may_go_on_is_in_use(self, store: Store, clock: FakeClock) -> None:
        await finished(store, clock, fingerprint="done", **about(DIGESTS[0]))
        interrupted = await self._interrupted(store, "again")
        await self._interrupted(store, "answered since")
        await finished(store, clock, fingerprint="answered since")
        held = await running(store, fingerprint="held", **about(DIGESTS[1]))
        queued = await store.create(a_recommendation(fingerprint="queued", **about(DIGESTS[2])))

        assert await store.find_in_use() == InUse(
            names=frozenset(
                {
                    *(r.recommendation_id for r in (interrupted, held, queued)),
                    *("again", "held", "queued"),
                }
            ),
            digests=frozenset(DIGESTS[1:3]),
        )

    async def _interrupted(self, store: Store, fingerprint: str) -> Recommendation:
        recommendation = await running(store, fingerprint=fingerprint)
        await store.finish(recommendation.recommendation_id, "one", INTERRUPTED)
        return recommendation
