"""What every store must do: devices go round, quotas hold, sources and tokens have owners."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest
from bsadvise.model.measurements import Failed, Fault, FaultCode
from bsadvise.model.recommendation import Measured, Recommendation, State, StateChanged
from bsadvise.model.request import Priority
from bsadvise.model.token import Scope

from advisor.domain.access import Limits, Token
from advisor.domain.errors import NotFound, QuotaExceeded, RequestIdReused
from advisor.ports.store import Share, Store
from tests.support.builders import a_gpu, a_measurement, a_recommendation, a_request
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import LEASE_S, SUCCEEDED, StoreFixtures, claim

HOUR_S = 3600.0
DIGEST = "cd" * 32


async def queued(store: Store, principal: str, priority: Priority = Priority.NORMAL) -> str:
    """Queue something for a principal on the CPU, and return its id."""
    wanted = a_recommendation(principal=principal, request=a_request(priority=priority))
    return (await store.create(wanted)).recommendation_id


async def turns(store: Store, clock: FakeClock, *, device_s: float = 10.0) -> Sequence[str]:
    """Let everything queued have its turn, and return the ids in their order."""
    order = []
    while found := await store.claim("one", lease_s=LEASE_S):
        order.append(found.recommendation.recommendation_id)
        clock.advance(device_s)
        await store.finish(order[-1], "one", SUCCEEDED)
    return order


def a_token(**changes: object) -> Token:
    """Return a token of Alice's."""
    token = Token(
        token_id="1" * 16,
        digest="ab" * 32,
        principal="alice",
        scope=Scope.RUN,
        created_at_s=1.0,
        expires_at_s=2.0,
    )
    return dataclasses.replace(token, **changes)  # type: ignore[arg-type] # any field


class SharingContract(StoreFixtures):
    async def test_principals_take_turns(self, store: Store, clock: FakeClock) -> None:
        alices = [await queued(store, "alice") for _ in range(3)]
        bobs = [await queued(store, "bob") for _ in range(2)]

        order = await turns(store, clock)

        assert order == [alices[0], bobs[0], alices[1], bobs[1], alices[2]]

    async def test_who_has_used_less_comes_first(self, store: Store, clock: FakeClock) -> None:
        await queued(store, "alice")
        await turns(store, clock, device_s=25.0)
        alices = await queued(store, "alice")
        bobs = [await queued(store, "bob") for _ in range(3)]

        assert await turns(store, clock) == [*bobs, alices]

    async def test_use_is_forgotten_after_a_day(self, store: Store, clock: FakeClock) -> None:
        await queued(store, "alice")
        await turns(store, clock)
        alices, bobs = await queued(store, "alice"), await queued(store, "bob")

        clock.advance(25 * HOUR_S)

        assert await turns(store, clock) == [alices, bobs]

    async def test_who_has_no_device_comes_before_who_has_one(self, store: Store) -> None:
        await store.create(a_recommendation(principal="alice", device=a_gpu(0)))
        await claim(store)
        second = await store.create(a_recommendation(principal="alice", device=a_gpu(1)))
        bobs = await store.create(a_recommendation(principal="bob", device=a_gpu(1)))

        assert (await claim(store)).recommendation.recommendation_id == bobs.recommendation_id
        assert second.state is State.QUEUED

    async def test_priorities_order_a_principal_s_own_work(
        self, store: Store, clock: FakeClock
    ) -> None:
        low = await queued(store, "alice", Priority.LOW)
        normal = await queued(store, "alice")
        high = await queued(store, "alice", Priority.HIGH)

        assert await turns(store, clock) == [high, normal, low]

    async def test_nobody_goes_before_others_by_priority(
        self, store: Store, clock: FakeClock
    ) -> None:
        await queued(store, "alice")
        await turns(store, clock)
        alices = await queued(store, "alice", Priority.HIGH)
        bobs = await queued(store, "bob")

        assert await turns(store, clock) == [bobs, alices]

    async def test_what_is_low_waits_for_all_others(self, store: Store, clock: FakeClock) -> None:
        alices = await queued(store, "alice", Priority.LOW)
        bobs = [await queued(store, "bob") for _ in range(3)]

        assert await turns(store, clock) == [*bobs, alices]

    async def test_a_lease_is_charged_as_it_goes(self, store: Store, clock: FakeClock) -> None:
        running = await queued(store, "alice")
        await claim(store)
        clock.advance(10)
        await store.renew(running, "one", lease_s=LEASE_S)
        clock.advance(5)
        await queued(store, "alice")

        queue = await store.queue("cpu")

        assert queue.shares == {"alice": Share(device_count=1, device_s=10.0)}
        assert queue.busy_for == "alice"
        assert queue.busy_until_s == clock.now_s() - 15 + a_request().budget_s
        await store.finish(running, "one", StateChanged(state=State.QUEUED))
        queue = await store.queue("cpu")
        assert queue.shares == {"alice": Share(device_count=0, device_s=15.0)}
        assert (queue.busy_for, queue.busy_until_s, len(queue.entries)) == (None, None, 2)

    async def test_nobody_pays_for_a_daemon_that_was_dead(
        self, store: Store, clock: FakeClock
    ) -> None:
        running = await queued(store, "alice")
        await claim(store, "one")
        clock.advance(1000)
        await claim(store, "two")
        clock.advance(5)
        await store.finish(running, "two", StateChanged(state=State.QUEUED))

        assert (await store.queue("cpu")).shares["alice"].device_s == 5.0

    async def test_a_clock_that_jumps_is_charged_no_more_than_a_lease(
        self, store: Store, clock: FakeClock
    ) -> None:
        running = await queued(store, "alice")
        for jump_s in (1000, -2000):
            await claim(store, "one")
            clock.jump(jump_s)
            await store.finish(running, "one", StateChanged(state=State.QUEUED))

        clock.jump(1000)
        assert (await store.queue("cpu")).shares["alice"].device_s == LEASE_S

    async def test_no_more_wait_than_the_quota_allows(self, store: Store) -> None:
        limits = Limits(max_queued=2)

        async def create(principal: str, **changes: object) -> Recommendation:
            wanted = a_recommendation(principal=principal, **changes)
            return await store.create(wanted, limits=limits)

        for name in ("first", "second"):
            await create("alice", request_id=name)
        with pytest.raises(QuotaExceeded) as refused:
            await create("alice")

        assert (refused.value.principal, refused.value.quota, refused.value.limit) == (
            "alice",
            "max_queued",
            2,
        )
        assert (await create("alice", request_id="first")).state is State.QUEUED
        assert len((await store.list_page(page_size=9)).recommendations) == 2
        await create("bob")
        await create("alice", state=State.SUCCEEDED)  # known already: it waits for nothing
        await claim(store)
        await create("alice")

    async def test_no_more_is_kept_than_the_quota_allows(self, store: Store) -> None:
        limits = Limits(kept_bytes=100_000)

        async def create(principal: str, **changes: object) -> Recommendation:
            wanted = a_recommendation(principal=principal, **changes)
            return await store.create(wanted, limits=limits)

        large = a_request(build_kwargs={"a": "x" * 60_000})
        first = await create("alice", request=large, request_id="first")
        with pytest.raises(QuotaExceeded) as refused:
            await create("alice", request=large)

        assert (refused.value.quota, refused.value.limit) == ("kept_bytes", 100_000)
        assert (await create("alice", request=large, request_id="first")) == first
        await create("alice")
        await create("bob", request=large)
        await store.delete(first.recommendation_id)
        await create("alice", request=large)

    async def test_a_log_counts_as_kept(self, store: Store) -> None:
        limits = Limits(kept_bytes=100_000)
        await queued(store, "alice")
        running = await claim(store, "one")
        long = Failed(fault=Fault(code=FaultCode.WORKER, message="x" * 60_000))
        for _ in range(2):
            await store.append(
                running.recommendation.recommendation_id,
                "one",
                Measured(measurement=a_measurement(outcome=long), remaining_s=1.0),
            )

        with pytest.raises(QuotaExceeded):
            await store.create(a_recommendation(principal="alice"), limits=limits)

    async def test_who_has_used_their_day_waits_for_the_next(
        self, store: Store, clock: FakeClock
    ) -> None:
        limits = Limits(device_s_per_day=10.0)
        request = a_request(budget_s=1.0)
        await queued(store, "alice")
        await turns(store, clock, device_s=10.0)

        with pytest.raises(QuotaExceeded):
            await store.create(a_recommendation(principal="alice", request=request), limits=limits)
        await store.create(a_recommendation(principal="bob", request=request), limits=limits)
        clock.advance(25 * HOUR_S)
        await store.create(a_recommendation(principal="alice", request=request), limits=limits)

    async def test_a_day_holds_the_budgets_of_what_runs_and_waits(
        self, store: Store, clock: FakeClock
    ) -> None:
        limits = Limits(device_s_per_day=100.0)

        async def create(budget_s: float, principal: str = "alice") -> Recommendation:
            request, now_s = a_request(budget_s=budget_s), clock.now_s()
            new = a_recommendation(
                principal=principal, request=request, created_at_s=now_s, updated_at_s=now_s
            )
            return await store.create(new, limits=limits)

        with pytest.raises(QuotaExceeded):
            await create(100.5)
        await create(60.0)
        await create(40.0)
        with pytest.raises(QuotaExceeded):
            await create(1.0)
        await create(100.0, "bob")
        assert (await claim(store)).recommendation.principal == "alice"
        clock.advance(30.0)
        await create(20.0)
        with pytest.raises(QuotaExceeded):
            await create(20.0)

    async def test_those_who_come_at_once_are_counted_together(self, store: Store) -> None:
        limits = Limits(max_queued=2)
        new = [a_recommendation(principal="alice") for _ in range(6)]
        came = await asyncio.gather(
            *(store.create(each, limits=limits) for each in new), return_exceptions=True
        )
        assert sum(isinstance(each, QuotaExceeded) for each in came) == 4
        assert len((await store.list_page(page_size=9)).recommendations) == 2

    async def test_use_outlives_what_it_was_for(self, store: Store, clock: FakeClock) -> None:
        used = await queued(store, "alice")
        await turns(store, clock)

        await store.delete(used)

        await queued(store, "alice")
        assert (await store.queue("cpu")).shares["alice"].device_s == 10.0

    async def test_no_more_is_sent_in_a_day_than_the_quota_allows(
        self, store: Store, clock: FakeClock
    ) -> None:
        limits = Limits(upload_bytes_per_day=5)
        await store.put_source(DIGEST, b"four", principal="alice", limits=limits)
        await store.put_source(DIGEST, b"four", principal="alice", limits=limits)

        with pytest.raises(QuotaExceeded):
            await store.put_source("ef" * 32, b"it", principal="alice", limits=limits)

        assert not await store.has_source("ef" * 32, principal="alice")
        await store.put_source("ef" * 32, b"it", principal="bob", limits=limits)
        clock.advance(25 * HOUR_S)
        await store.put_source("ef" * 32, b"it", principal="alice", limits=limits)

    async def test_a_source_belongs_to_those_who_sent_it(self, store: Store) -> None:
        await store.put_source(DIGEST, b"code", principal="alice")
        assert not await store.has_source(DIGEST, principal="bob")

        await store.put_source(DIGEST, b"code", principal="bob")

        assert await store.has_source(DIGEST, principal="alice")
        assert await store.has_source(DIGEST, principal="bob")

    async def test_request_ids_are_a_principal_s_own(self, store: Store) -> None:
        alices = await store.create(a_recommendation(principal="alice", request_id="same"))
        bobs = await store.create(a_recommendation(principal="bob", request_id="same"))

        assert alices.recommendation_id != bobs.recommendation_id
        other = a_recommendation(principal="bob", request_id="same", request=a_request(seed=9))
        with pytest.raises(RequestIdReused) as refused:
            await store.create(other)
        assert refused.value.recommendation_id == bobs.recommendation_id
        assert (await store.get(bobs.recommendation_id)) == bobs

    async def test_a_page_holds_one_principal_s_alone(self, store: Store) -> None:
        created = [
            await store.create(a_recommendation(principal=who))
            for who in ("alice", "bob", "alice", "bob", "alice")
        ]

        first = await store.list_page(page_size=2, principal="alice")
        rest = await store.list_page(
            page_size=2, page_token=first.next_page_token, principal="alice"
        )

        assert [*first.recommendations, *rest.recommendations] == created[::-2]
        assert rest.next_page_token == ""

    async def test_tokens_are_kept_and_revoked(self, store: Store, clock: FakeClock) -> None:
        old, new = a_token(), a_token(token_id="2" * 16, created_at_s=5.0, scope=Scope.ADMIN)
        for token in (old, new):
            await store.add_token(token)

        assert await store.list_tokens() == (new, old)
        assert await store.find_token(old.token_id) == old
        assert await store.find_token("3" * 16) is None
        revoked = await store.revoke_token(old.token_id)
        assert revoked == dataclasses.replace(old, revoked_at_s=clock.now_s())
        clock.advance(5)
        assert await store.revoke_token(old.token_id) == revoked
        assert await store.find_token(old.token_id) == revoked
        with pytest.raises(NotFound):
            await store.revoke_token("3" * 16)
