"""What every store must do: keep events and the log, and find answers by them."""

from __future__ import annotations

import asyncio
import math

import pytest
from bsadvise.model.advice import Interval
from bsadvise.model.commands import RunStep, Train, TrialOrigin
from bsadvise.model.measurements import Failed, OutOfMemory, TrainRun
from bsadvise.model.recommendation import (
    CommandStarted,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)

from advisor.ports.store import Store
from tests.support.builders import (
    a_fault,
    a_measurement,
    a_recommendation,
    a_refusal,
    a_request,
    an_advice,
    an_inspection,
)
from tests.support.fake_clock import FakeClock
from tests.support.store_contract_base import INTERRUPTED, SUCCEEDED, StoreFixtures, running


class EventContract(StoreFixtures):
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

    @pytest.mark.parametrize("output", ["naïve 数 \U0001f600", "\x00\x1b[0m", "\udc80 is no text"])
    async def test_whatever_user_code_printed_is_kept(self, store: Store, output: str) -> None:
        recommendation_id = (await running(store)).recommendation_id
        failed = Failed(fault=a_fault(output=output))
        measured = Measured(measurement=a_measurement(outcome=failed))
        await store.append(recommendation_id, "one", measured)

        assert await store.log(recommendation_id) == (measured.measurement,)

    async def test_losses_that_are_not_finite_are_kept(self, store: Store) -> None:
        recommendation_id = (await running(store)).recommendation_id
        command = Train(
            time_limit_s=1.0,
            micro_batch_size=1,
            accumulation_steps=1,
            learning_rate=1e9,
            step_count=3,
            evaluation_batch_size=1,
            origin=TrialOrigin.NEIGHBOUR,
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

    async def test_finds_what_was_searched_of_a_source(self, store: Store) -> None:
        digest = a_request().source.digest
        assert await store.find_searched(digest, principal=None, limit=8) == ()
        first = await self._end(store, "f", SUCCEEDED)
        await self._end(store, "f", INTERRUPTED)
        second = await self._end(store, "g", SUCCEEDED)
        remembered = await running(store, fingerprint="f")
        await store.finish(remembered.recommendation_id, "one", SUCCEEDED)
        await store.create(a_recommendation(fingerprint="f"))

        found = await store.find_searched(digest, principal=None, limit=8)
        assert found == (second, first)
        assert await store.find_searched(digest, principal=first.principal, limit=1) == (second,)
        assert await store.find_searched(digest, principal="another", limit=8) == ()
        assert await store.find_searched("0" * 64, principal=None, limit=8) == ()

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
