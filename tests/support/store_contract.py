"""What every implementation of the Store port must do.

A test class for an implementation inherits ``StoreContract`` and gives the fixture ``store``,
made with the fixtures ``clock`` and ``dead_owners`` of this class.
"""

from __future__ import annotations

import asyncio
import math

import pytest

from advisor.domain.advice import Interval, RefusalCode
from advisor.domain.commands import RunStep, Train, TrialOrigin
from advisor.domain.errors import (
    IllegalTransition,
    InvalidRequest,
    LeaseLost,
    NotFound,
    RequestIdReused,
)
from advisor.domain.measurements import OutOfMemory, TrainRun
from advisor.domain.recommendation import (
    CommandStarted,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from advisor.ports.store import Claim, Store
from tests.support.builders import (
    a_device,
    a_fault,
    a_gpu,
    a_measurement,
    a_recommendation,
    a_refusal,
    a_request,
    an_advice,
    an_inspection,
)
from tests.support.fake_clock import FakeClock

LEASE_S = 30.0

SUCCEEDED = StateChanged(state=State.SUCCEEDED, advice=an_advice())
INTERRUPTED = StateChanged(state=State.FAILED, refusal=a_refusal(code=RefusalCode.INTERRUPTED))


async def claim(store: Store, owner: str = "one") -> Claim:
    """Claim what must be there to claim."""
    found = await store.claim(owner, lease_s=LEASE_S)
    assert found is not None
    return found


async def running(store: Store, owner: str = "one", **changes: object) -> Recommendation:
    """Create a recommendation and claim it."""
    created = await store.create(a_recommendation(**changes))
    claimed = await claim(store, owner)
    assert claimed.recommendation.recommendation_id == created.recommendation_id
    return claimed.recommendation


async def states_of(store: Store, recommendation_id: str) -> list[State]:
    """Return the states that a recommendation's events tell of."""
    happenings = [event.happening for event in await store.events(recommendation_id)]
    return [h.state for h in happenings if isinstance(h, StateChanged)]


class StoreContract:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def dead_owners(self) -> set[str]:
        """Names of the owners that are known to be dead."""
        return set()

    # Creating, reading and removing

    async def test_returns_what_was_created(self, store: Store) -> None:
        created = a_recommendation(
            request=a_request(
                device="cuda:0", build_kwargs={"width": "é"}, target_loss=0.1, max_trials=0
            ),
            device=a_gpu(),
        )

        assert await store.create(created) == created
        assert await store.get(created.recommendation_id) == created

    async def test_first_event_is_the_first_state(self, store: Store) -> None:
        queued = await store.create(a_recommendation())
        answered = await store.create(a_recommendation(state=State.SUCCEEDED, advice=an_advice()))

        assert await states_of(store, queued.recommendation_id) == [State.QUEUED]
        [event] = await store.events(answered.recommendation_id)
        assert (event.sequence, event.happening) == (1, SUCCEEDED)

    async def test_creating_twice_with_one_request_id_creates_once(self, store: Store) -> None:
        first = await store.create(a_recommendation(request_id="same"))
        await claim(store)

        second = await store.create(a_recommendation(request_id="same"))

        assert second.recommendation_id == first.recommendation_id
        assert second.state is State.RUNNING
        assert len((await store.list_page(page_size=10)).recommendations) == 1

    async def test_concurrent_creations_with_one_request_id_create_once(self, store: Store) -> None:
        created = await asyncio.gather(
            *(store.create(a_recommendation(request_id="same")) for _ in range(8))
        )

        assert len({recommendation.recommendation_id for recommendation in created}) == 1

    async def test_a_request_id_with_another_request_is_refused(self, store: Store) -> None:
        await store.create(a_recommendation(request_id="same", request=a_request(seed=1)))

        with pytest.raises(RequestIdReused):
            await store.create(a_recommendation(request_id="same", request=a_request(seed=2)))

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for attempt in (
            store.get("nothing"),
            store.delete("nothing"),
            store.request_cancel("nothing"),
            store.events("nothing"),
            store.log("nothing"),
            store.get_source("ab" * 32),
        ):
            with pytest.raises(NotFound):
                await attempt

    async def test_deleting_removes_all_but_what_is_running(self, store: Store) -> None:
        await running(store)
        done = await store.create(a_recommendation(device=a_gpu(0), request_id="again"))
        await claim(store)
        await store.finish(done.recommendation_id, "one", SUCCEEDED)
        queued = await store.create(a_recommendation())

        for removable in (done, queued):
            await store.delete(removable.recommendation_id)
            with pytest.raises(NotFound):
                await store.get(removable.recommendation_id)
            with pytest.raises(NotFound):
                await store.events(removable.recommendation_id)
        assert (await store.create(a_recommendation(request_id="again"))).state is State.QUEUED

    async def test_what_is_running_cannot_be_deleted(self, store: Store) -> None:
        recommendation = await running(store)

        with pytest.raises(IllegalTransition):
            await store.delete(recommendation.recommendation_id)

        assert await store.get(recommendation.recommendation_id) == recommendation

    # Pages

    @pytest.mark.parametrize("page_size", [1, 10, 24, 25, 26])
    async def test_pages_hold_everything_once_newest_first(
        self, store: Store, page_size: int
    ) -> None:
        created = [await store.create(a_recommendation()) for _ in range(25)]

        listed: list[Recommendation] = []
        page = await store.list_page(page_size=page_size)
        listed += page.recommendations
        while page.next_page_token:
            assert len(page.recommendations) == page_size
            page = await store.list_page(page_size=page_size, page_token=page.next_page_token)
            listed += page.recommendations

        assert listed == created[::-1]

    async def test_pages_are_stable_while_others_come_and_go(self, store: Store) -> None:
        created = [await store.create(a_recommendation()) for _ in range(5)]
        page = await store.list_page(page_size=2)

        await store.create(a_recommendation(created_at_s=0.0))
        await store.delete(created[3].recommendation_id)
        rest = await store.list_page(page_size=3, page_token=page.next_page_token)

        assert list(page.recommendations) == [created[4], created[3]]
        assert list(rest.recommendations) == [created[2], created[1], created[0]]
        assert rest.next_page_token == ""

    async def test_an_empty_store_has_one_empty_page(self, store: Store) -> None:
        page = await store.list_page(page_size=10)

        assert (page.recommendations, page.next_page_token) == ((), "")

    @pytest.mark.parametrize(
        "token", ["x", "é", "====", "YWZ0ZXI9LTE=", "YWZ0ZXI9MSA=", "bm90IG91cnM=", "2" * 1000]
    )
    async def test_a_foreign_page_token_is_refused(self, store: Store, token: str) -> None:
        await store.create(a_recommendation())

        with pytest.raises(InvalidRequest) as refused:
            await store.list_page(page_size=10, page_token=token)

        assert [violation.field for violation in refused.value.violations] == ["page_token"]

    # Cancelling

    async def test_a_queued_one_is_cancelled_at_once(self, store: Store, clock: FakeClock) -> None:
        queued = await store.create(a_recommendation())
        clock.advance(5)

        cancelled = await store.request_cancel(queued.recommendation_id)

        assert cancelled.state is State.CANCELLED
        assert cancelled.updated_at_s == clock.now_s()
        assert cancelled == await store.get(queued.recommendation_id)
        assert await states_of(store, queued.recommendation_id) == [
            State.QUEUED,
            State.CANCELLED,
        ]
        assert await store.claim("one", lease_s=LEASE_S) is None

    async def test_a_running_one_learns_of_it_when_it_renews(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        assert not await store.renew(recommendation_id, "one", lease_s=LEASE_S)

        marked = await store.request_cancel(recommendation_id)

        assert (marked.state, marked.cancel_requested) == (State.RUNNING, True)
        assert await store.renew(recommendation_id, "one", lease_s=LEASE_S)
        best = StateChanged(state=State.CANCELLED, advice=an_advice())
        await store.finish(recommendation_id, "one", best)
        assert (await store.get(recommendation_id)).advice == an_advice()

    async def test_a_finished_one_is_left_alone(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        await store.finish(recommendation_id, "one", SUCCEEDED)
        before = await store.get(recommendation_id)

        assert await store.request_cancel(recommendation_id) == before
        assert await store.request_cancel(recommendation_id) == before
        assert len(await store.events(recommendation_id)) == 3

    # Leases

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

        assert taken == Claim(recommendation=orphan, is_takeover=True)
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

        assert taken == Claim(recommendation=orphan, is_takeover=True)
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

    # Finishing

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

    # Events and the log

    async def test_events_come_back_as_they_went_in(self, store: Store, clock: FakeClock) -> None:
        recommendation_id = (await running(store)).recommendation_id
        command = RunStep(time_limit_s=9.5, micro_batch_size=8)
        best = an_advice(samples_per_s=10.0, samples_per_s_interval=Interval(low=9.0, high=11.0))
        happenings: list[Happening] = [
            CommandStarted(command=command),
            Measured(measurement=an_inspection()),
            Measured(
                measurement=a_measurement(command, OutOfMemory(message="no room")),
                best=best,
                remaining_s=12.5,
            ),
        ]
        appended = []
        for happening in happenings:
            clock.advance(1)
            event = await store.append(recommendation_id, "one", happening)
            assert event.at_s == clock.now_s()
            appended.append(event)

        stored = await store.events(recommendation_id, after_sequence=2)

        assert list(stored) == appended
        assert [event.happening for event in stored] == happenings
        assert [event.sequence for event in stored] == [3, 4, 5]
        assert await store.log(recommendation_id) == tuple(
            h.measurement for h in happenings if isinstance(h, Measured)
        )

    async def test_losses_that_are_not_finite_are_kept(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        command = Train(
            time_limit_s=1.0,
            micro_batch_size=1,
            accumulation_steps=1,
            learning_rate=1e9,
            step_count=3,
            evaluation_batch_size=1,
            origin=TrialOrigin.RIDGE,
        )
        run = TrainRun(
            step_count=2, sample_count=2, train_losses=(math.nan, math.inf), diverged=True
        )
        measured = Measured(measurement=a_measurement(command, run))
        await store.append(recommendation_id, "one", measured)

        [measurement] = await store.log(recommendation_id)

        assert isinstance(measurement.outcome, TrainRun)
        not_a_number, infinite = measurement.outcome.train_losses
        assert math.isnan(not_a_number)
        assert infinite == math.inf

    async def test_a_watcher_resumes_after_any_event(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        for _ in range(8):
            await store.append(recommendation_id, "one", Measured(measurement=a_measurement()))
        everything = await store.events(recommendation_id)

        for sequence in range(12):
            rest = await store.events(recommendation_id, after_sequence=sequence)
            assert rest == everything[sequence:]
        some = await store.events(recommendation_id, after_sequence=3, limit=2)
        assert [event.sequence for event in some] == [4, 5]

    async def test_concurrent_appends_leave_no_gap(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id

        appended = await asyncio.gather(
            *(
                store.append(recommendation_id, "one", Measured(measurement=a_measurement()))
                for _ in range(30)
            )
        )

        assert sorted(event.sequence for event in appended) == list(range(3, 33))
        stored = await store.events(recommendation_id)
        assert [event.sequence for event in stored] == list(range(1, 33))

    async def test_a_log_without_measurements_is_empty(self, store: Store) -> None:
        recommendation = await running(store)

        assert await store.log(recommendation.recommendation_id) == ()

    # Answers and what was interrupted

    async def _end(self, store: Store, fingerprint: str, change: StateChanged) -> Recommendation:
        recommendation = await running(store, fingerprint=fingerprint)
        await store.append(
            recommendation.recommendation_id, "one", Measured(measurement=a_measurement())
        )
        await store.finish(recommendation.recommendation_id, "one", change)
        return await store.get(recommendation.recommendation_id)

    async def test_finds_the_newest_answer_of_a_fingerprint(self, store: Store) -> None:
        assert await store.find_answer("f") is None
        await self._end(store, "f", SUCCEEDED)
        newest = await self._end(store, "f", SUCCEEDED)
        await self._end(store, "other", SUCCEEDED)
        await self._end(store, "f", INTERRUPTED)
        await self._end(store, "f", StateChanged(state=State.CANCELLED, advice=an_advice()))
        await store.create(a_recommendation(fingerprint="f"))

        assert await store.find_answer("f") == newest

    async def test_finds_the_log_of_what_was_interrupted(self, store: Store) -> None:
        assert await store.find_interrupted_log("f") == ()
        await self._end(store, "f", StateChanged(state=State.FAILED, refusal=a_refusal()))
        assert await store.find_interrupted_log("f") == ()

        await self._end(store, "f", INTERRUPTED)
        await self._end(store, "f", StateChanged(state=State.FAILED, refusal=a_refusal()))
        assert await store.find_interrupted_log("f") == (a_measurement(),)
        assert await store.find_interrupted_log("other") == ()

        await self._end(store, "f", SUCCEEDED)
        assert await store.find_interrupted_log("f") == ()

        await self._end(store, "f", INTERRUPTED)
        assert await store.find_interrupted_log("f") == (a_measurement(),)

    # Sources

    async def test_keeps_a_source_once(self, store: Store) -> None:
        digest = "cd" * 32
        assert not await store.has_source(digest)

        await store.put_source(digest, b"\x00bundle")
        await asyncio.gather(*(store.put_source(digest, b"\x00bundle") for _ in range(4)))

        assert await store.has_source(digest)
        assert await store.get_source(digest) == b"\x00bundle"

    async def test_keeps_an_empty_source(self, store: Store) -> None:
        await store.put_source("00" * 32, b"")

        assert await store.get_source("00" * 32) == b""

    async def test_closes_twice(self, store: Store) -> None:
        await store.close()
        await store.close()
