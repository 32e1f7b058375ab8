"""What every store must do: lease, take over, finish, and refuse who holds no lease."""

from __future__ import annotations

import asyncio

import pytest
from bsadvise.model.recommendation import Measured, State, StateChanged

from advisor.domain.errors import IllegalTransition, LeaseLost
from advisor.ports.store import ABANDONED_S, Claim, Store
from tests.support.builders import (
    a_device,
    a_fault,
    a_gpu,
    a_measurement,
    a_recommendation,
    a_refusal,
    an_advice,
)
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import (
    INTERRUPTED,
    LEASE_S,
    SUCCEEDED,
    StoreFixtures,
    claim,
    running,
    states_of,
)


class LeaseContract(StoreFixtures):
    async def test_the_oldest_is_claimed_first(self, store: Store, clock: FakeClock) -> None:
        created = [await store.create(a_recommendation(device=a_gpu(i))) for i in range(3)]
        clock.advance(5)

        claims = [await claim(store) for _ in created]

        assert [c.recommendation.recommendation_id for c in claims] == [
            recommendation.recommendation_id for recommendation in created
        ]
        assert not any(c.is_takeover for c in claims)
        for claimed in claims:
            assert claimed.recommendation.state is State.RUNNING
            assert claimed.recommendation.updated_at_s == clock.now_s()
            recommendation_id = claimed.recommendation.recommendation_id
            assert await store.get(recommendation_id) == claimed.recommendation
            assert await states_of(store, recommendation_id) == [State.QUEUED, State.RUNNING]
        assert await store.claim("one", lease_s=LEASE_S) is None

    async def test_a_device_is_given_to_one_at_a_time(self, store: Store) -> None:
        first = await running(store, device=a_gpu(0))
        second = await store.create(a_recommendation(device=a_gpu(0)))
        other = await store.create(a_recommendation(device=a_device()))

        assert (await claim(store)).recommendation.recommendation_id == other.recommendation_id
        assert await store.claim("two", lease_s=LEASE_S) is None

        await store.finish(first.recommendation_id, "one", SUCCEEDED)
        assert (await claim(store)).recommendation.recommendation_id == second.recommendation_id

    async def test_a_lease_that_ran_out_is_taken_over(self, store: Store, clock: FakeClock) -> None:
        orphan = await running(store, "one")
        await store.create(a_recommendation())
        clock.advance(LEASE_S - 1)
        assert await store.claim("two", lease_s=LEASE_S) is None

        clock.advance(1)
        taken = await claim(store, "two")

        assert taken == Claim(
            recommendation=orphan, is_takeover=True, device_ids=(orphan.device.device_id,)
        )
        assert await states_of(store, orphan.recommendation_id) == [State.QUEUED, State.RUNNING]
        assert await store.claim("three", lease_s=LEASE_S) is None

    async def test_a_renewed_lease_is_not_taken_over(self, store: Store, clock: FakeClock) -> None:
        recommendation_id = (await running(store, "one")).recommendation_id
        for _ in range(3):
            clock.advance(LEASE_S / 2)
            await store.renew(recommendation_id, "one", lease_s=LEASE_S)
            assert await store.claim("two", lease_s=LEASE_S) is None

    async def test_a_late_renewal_counts_while_nobody_has_taken_over(
        self, store: Store, clock: FakeClock
    ) -> None:
        recommendation_id = (await running(store, "one")).recommendation_id
        clock.advance(LEASE_S * 2)

        await store.renew(recommendation_id, "one", lease_s=LEASE_S)

        assert await store.claim("two", lease_s=LEASE_S) is None

    async def test_the_work_of_a_dead_owner_is_taken_over_at_once(
        self, store: Store, dead_owners: set[str]
    ) -> None:
        live = await running(store, "one", device=a_gpu(0))
        orphan = await running(store, "two", device=a_gpu(1))
        await store.create(a_recommendation())
        dead_owners.add("two")

        taken = await claim(store, "three")

        assert taken == Claim(
            recommendation=orphan, is_takeover=True, device_ids=(orphan.device.device_id,)
        )
        await store.renew(live.recommendation_id, "one", lease_s=LEASE_S)

    async def test_orphans_come_before_what_is_queued_and_older(
        self, store: Store, dead_owners: set[str]
    ) -> None:
        first = await running(store, "one")
        await store.create(a_recommendation())
        orphan = await store.create(a_recommendation(device=a_gpu()))
        await claim(store, "two")
        await store.finish(first.recommendation_id, "one", SUCCEEDED)
        dead_owners.add("two")

        taken = await claim(store, "one")

        assert taken.is_takeover
        assert taken.recommendation.recommendation_id == orphan.recommendation_id
        assert not (await claim(store, "one")).is_takeover

    async def test_what_is_put_back_is_claimed_again_and_goes_on(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        await store.append(recommendation_id, "one", Measured(measurement=a_measurement()))
        await store.finish(recommendation_id, "one", StateChanged(state=State.QUEUED))

        again = await claim(store, "two")

        assert not again.is_takeover
        assert again.recommendation.recommendation_id == recommendation_id
        assert await store.log(recommendation_id) == (a_measurement(),)

    @pytest.mark.parametrize("loss", ["taken over", "finished", "put back", "never held"])
    async def test_nothing_is_written_in_the_name_of_a_lost_lease(
        self, store: Store, dead_owners: set[str], loss: str
    ) -> None:
        recommendation_id = await self._lose_lease(store, dead_owners, loss)
        before = await store.get(recommendation_id), await store.events(recommendation_id)

        for attempt in (
            store.renew(recommendation_id, "one", lease_s=LEASE_S),
            store.append(recommendation_id, "one", Measured(measurement=a_measurement())),
            store.restart(recommendation_id, "one", "another"),
            store.finish(recommendation_id, "one", SUCCEEDED),
        ):
            with pytest.raises(LeaseLost):
                await attempt

        after = await store.get(recommendation_id), await store.events(recommendation_id)
        assert after == before

    async def _lose_lease(self, store: Store, dead_owners: set[str], loss: str) -> str:
        if loss == "never held":
            return (await store.create(a_recommendation())).recommendation_id
        recommendation_id = (await running(store, "one")).recommendation_id
        if loss == "taken over":
            dead_owners.add("one")
            await claim(store, "two")
        elif loss == "finished":
            await store.finish(recommendation_id, "one", INTERRUPTED)
        else:
            await store.finish(recommendation_id, "one", StateChanged(state=State.QUEUED))
        return recommendation_id

    async def test_a_lease_on_nothing_is_lost(self, store: Store) -> None:
        with pytest.raises(LeaseLost):
            await store.renew("nothing", "one", lease_s=LEASE_S)

    async def test_concurrent_claims_give_each_to_one(self, store: Store) -> None:
        created = [await store.create(a_recommendation(device=a_gpu(i))) for i in range(10)]

        claims = await asyncio.gather(
            *(store.claim(f"owner-{i}", lease_s=LEASE_S) for i in range(15))
        )

        given = [c.recommendation.recommendation_id for c in claims if c is not None]
        assert sorted(given) == sorted(r.recommendation_id for r in created)

    @pytest.mark.parametrize(
        "change",
        [
            SUCCEEDED,
            StateChanged(state=State.FAILED, refusal=a_refusal(fault=a_fault())),
            StateChanged(state=State.CANCELLED),
            StateChanged(state=State.CANCELLED, advice=an_advice()),
            StateChanged(state=State.QUEUED),
        ],
    )
    async def test_finishing_changes_the_state_and_tells_of_it(
        self, store: Store, clock: FakeClock, change: StateChanged
    ) -> None:
        recommendation_id = (await running(store)).recommendation_id
        clock.advance(5)

        event = await store.finish(recommendation_id, "one", change)

        assert (event.sequence, event.at_s, event.happening) == (3, clock.now_s(), change)
        assert (await store.events(recommendation_id))[-1] == event
        stored = await store.get(recommendation_id)
        assert (stored.state, stored.advice, stored.refusal, stored.updated_at_s) == (
            change.state,
            change.advice,
            change.refusal,
            clock.now_s(),
        )

    async def test_what_runs_cannot_finish_as_running(self, store: Store) -> None:
        before = await running(store)

        with pytest.raises(IllegalTransition):
            await store.finish(before.recommendation_id, "one", StateChanged(state=State.RUNNING))

        assert await store.get(before.recommendation_id) == before
        assert len(await store.events(before.recommendation_id)) == 2
        await store.renew(before.recommendation_id, "one", lease_s=LEASE_S)

    async def test_what_nobody_works_on_any_more_can_be_cancelled(
        self, store: Store, clock: FakeClock
    ) -> None:
        left = await running(store)
        clock.advance(LEASE_S + ABANDONED_S)
        marked = await store.request_cancel(left.recommendation_id)
        assert (marked.state, marked.cancel_requested) == (State.RUNNING, True)

        clock.advance(1)
        cancelled = await store.request_cancel(left.recommendation_id)

        assert cancelled.state is State.CANCELLED
        assert await states_of(store, left.recommendation_id) == [
            State.QUEUED,
            State.RUNNING,
            State.CANCELLED,
        ]
        with pytest.raises(LeaseLost):
            await store.renew(left.recommendation_id, "one", lease_s=LEASE_S)
        await running(store)  # Its device is free.
        await store.delete(left.recommendation_id)
