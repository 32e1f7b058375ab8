"""What every store must do: a lease holds a set of devices, all of them or none."""

from __future__ import annotations

import asyncio

from bsadvise.model.recommendation import Measured, Recommendation, State, StateChanged

from advisor.ports.store import Store
from tests.support.builders import a_gpu, a_measurement, a_recommendation
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import LEASE_S, SUCCEEDED, StoreFixtures, claim, running


def ids_of(*numbers: int) -> tuple[str, ...]:
    return tuple(a_gpu(number).device_id for number in numbers)


async def queue_on(store: Store, *numbers: int, principal: str = "local") -> Recommendation:
    """Queue a recommendation whose lease is to hold several GPUs."""
    wanted = a_recommendation(device=a_gpu(numbers[0]), principal=principal)
    return await store.create(wanted, device_ids=ids_of(*numbers))


async def next_claim(store: Store) -> str | None:
    found = await store.claim("one", lease_s=LEASE_S)
    return found.recommendation.recommendation_id if found else None


class DeviceSetContract(StoreFixtures):
    async def test_a_lease_holds_its_own_device_where_none_is_named(self, store: Store) -> None:
        await store.create(a_recommendation(device=a_gpu(3)))
        assert (await claim(store)).device_ids == ids_of(3)

    async def test_a_lease_holds_all_its_devices_in_their_order(self, store: Store) -> None:
        gang = await queue_on(store, 2, 0, 1)
        claimed = await claim(store)
        assert claimed.recommendation.recommendation_id == gang.recommendation_id
        assert claimed.device_ids == ids_of(2, 0, 1)
        for number in range(3):
            await queue_on(store, number)
        assert await next_claim(store) is None
        assert (await store.queue(ids_of(1)[0])).busy_for == "local"

    async def test_while_one_device_is_held_none_is_taken(self, store: Store) -> None:
        single = await running(store, device=a_gpu(1))
        gang = await queue_on(store, 0, 1)
        assert await next_claim(store) is None
        # Nothing was left held by the attempt.
        assert (await store.queue(ids_of(0)[0])).busy_for is None

        await store.finish(single.recommendation_id, "one", SUCCEEDED)
        assert await next_claim(store) == gang.recommendation_id

    async def test_later_requests_for_one_device_do_not_pass_one_for_several(
        self, store: Store
    ) -> None:
        first = await running(store, device=a_gpu(1))
        gang = await queue_on(store, 0, 1)
        single = await queue_on(store, 0)
        other = await queue_on(store, 2)

        assert await next_claim(store) == other.recommendation_id
        assert await next_claim(store) is None
        await store.finish(first.recommendation_id, "one", SUCCEEDED)
        assert await next_claim(store) == gang.recommendation_id
        await store.finish(gang.recommendation_id, "one", SUCCEEDED)
        assert await next_claim(store) == single.recommendation_id

    async def test_the_end_of_a_lease_frees_all(self, store: Store) -> None:
        for change in (SUCCEEDED, StateChanged(state=State.CANCELLED)):
            gang = await queue_on(store, 0, 1)
            assert await next_claim(store) == gang.recommendation_id
            await store.finish(gang.recommendation_id, "one", change)
            singles = [await queue_on(store, number) for number in (0, 1)]
            for single in singles:
                assert await next_claim(store) == single.recommendation_id
                await store.finish(single.recommendation_id, "one", SUCCEEDED)

    async def test_what_is_put_back_gives_its_devices_back(self, store: Store) -> None:
        gang = await queue_on(store, 0, 1, principal="alice")
        await claim(store)
        await store.finish(gang.recommendation_id, "one", StateChanged(state=State.QUEUED))
        assert (await store.queue(ids_of(1)[0])).busy_for is None
        again = await claim(store)
        assert again.device_ids == ids_of(0, 1)

    async def test_a_takeover_keeps_all(self, store: Store, clock: FakeClock) -> None:
        gang = await queue_on(store, 0, 1)
        await claim(store)
        await queue_on(store, 1)
        clock.advance(LEASE_S)

        taken = await claim(store, "two")
        assert taken.is_takeover
        assert taken.device_ids == ids_of(0, 1)
        assert await next_claim(store) is None
        await store.finish(gang.recommendation_id, "two", SUCCEEDED)
        assert await next_claim(store) is not None

    async def test_time_is_charged_for_each_device(self, store: Store, clock: FakeClock) -> None:
        gang = await queue_on(store, 0, 1, 2, principal="alice")
        await claim(store)
        waiting = await queue_on(store, 0, principal="alice")
        device_id = waiting.device.device_id
        assert (await store.queue(device_id)).shares["alice"].device_count == 3

        clock.advance(10)
        await store.renew(gang.recommendation_id, "one", lease_s=LEASE_S)
        assert (await store.queue(device_id)).shares["alice"].device_s == 30
        clock.advance(5)
        await store.finish(gang.recommendation_id, "one", SUCCEEDED)

        share = (await store.queue(device_id)).shares["alice"]
        assert (share.device_count, share.device_s) == (0, 45)

    async def test_concurrent_claims_of_overlapping_sets_share_no_device(
        self, store: Store
    ) -> None:
        sets = [(number, (number + 1) % 6, (number + 3) % 6) for number in range(6)] * 3
        created = [await queue_on(store, *numbers) for numbers in sets]
        finished: list[str] = []
        while len(finished) < len(created):
            claims = await asyncio.gather(
                *(store.claim(f"owner-{i}", lease_s=LEASE_S) for i in range(6))
            )
            given = {f"owner-{i}": found for i, found in enumerate(claims) if found}
            held = [one for found in given.values() for one in found.device_ids]
            assert len(held) == len(set(held))
            for owner, found in given.items():
                finished.append(found.recommendation.recommendation_id)
                await store.finish(finished[-1], owner, SUCCEEDED)
        assert sorted(finished) == sorted(r.recommendation_id for r in created)

    async def test_a_log_that_is_restarted_begins_empty(self, store: Store) -> None:
        recommendation_id = (await running(store, fingerprint="old")).recommendation_id
        measured = Measured(measurement=a_measurement())
        await store.append(recommendation_id, "one", measured)

        await store.restart(recommendation_id, "one", "new")

        assert await store.log(recommendation_id) == ()
        assert (await store.get(recommendation_id)).fingerprint == "new"
        assert (await store.events(recommendation_id))[-1].happening == measured
        await store.append(recommendation_id, "one", measured)
        assert await store.log(recommendation_id) == (measured.measurement,)
