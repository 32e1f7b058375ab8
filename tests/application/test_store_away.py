"""A store that goes away in mid-run costs the run nothing, unless it stays away."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from bsadvise.model.measurements import Log, TrainRun
from bsadvise.model.recommendation import Event, Happening, Measured, Recommendation, State

from advisor.application.cancellation import Cancellation, StopReason
from advisor.application.event_bus import EventBus
from advisor.application.run import Run
from advisor.domain.errors import LeaseLost, StoreFull, StoreUnavailable
from tests.support.bench import LEASE_S, Bench, advance_until, create, end_of
from tests.support.builders import a_measurement, a_recommendation
from tests.support.memory_store import MemoryStore
from tests.support.scripted_planner import SCRIPT


class FlakyStore(MemoryStore):
    """Fails some calls of a method, before or after carrying them out.

    Attributes:
        failures_left: How often the method fails from now on.
        method: Which.
        after: Whether it is carried out first, so that only the answer is lost.
    """

    failures_left = 0
    method = "append"
    after = False

    async def append(self, recommendation_id: str, owner: str, happening: Happening) -> Event:
        self._fail("append", after=False)
        event = await super().append(recommendation_id, owner, happening)
        self._fail("append", after=True)
        return event

    async def log(self, recommendation_id: str) -> Log:
        self._fail("log", after=self.after)
        return await super().log(recommendation_id)

    async def finish(self, *arguments: Any) -> Event:
        self._fail("finish", after=False)
        event = await super().finish(*arguments)
        self._fail("finish", after=True)
        return event

    def _fail(self, method: str, *, after: bool) -> None:
        if self.method == method and self.after is after and self.failures_left:
            self.failures_left -= 1
            raise StoreFull("no room")


@pytest.fixture
def store(bench: Bench) -> FlakyStore:
    store = FlakyStore(bench.clock, bench.dead_owners.__contains__)
    bench.store = store
    return store


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return Bench.without_threads(tmp_path)


@pytest.mark.parametrize("method", ["append", "log", "finish"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_run_goes_on_when_the_store_is_back(
    bench: Bench, store: FlakyStore, method: str, *, after: bool
) -> None:
    store.method, store.after = method, after
    async with bench.running() as application:
        store.failures_left = 3
        created = await create(application, await bench.request(), "one")
        ending = asyncio.create_task(end_of(application, created))
        await advance_until(bench.clock, ending)
    store.failures_left = 0

    log = await store.log(created.recommendation_id)
    events = await store.events(created.recommendation_id)
    assert ending.result().state is State.SUCCEEDED
    assert [entry.command for entry in log] == list(SCRIPT)
    assert bench.pool.commands == list(SCRIPT)  # nothing was measured again
    assert len(events) == 3 + 2 * len(SCRIPT)  # nor told twice


def _run(bench: Bench, recommendation: Recommendation, cancellation: Cancellation) -> Run:
    return Run(
        recommendation=recommendation,
        device_ids=("cpu",),
        cancellation=cancellation,
        store=bench.store,
        clock=bench.clock,
        event_bus=EventBus(),
        owner="daemon-1",
        lease_s=LEASE_S,
    )


async def test_a_diverged_run_is_not_told_twice(bench: Bench, store: FlakyStore) -> None:
    recommendation = await store.create(a_recommendation())
    await store.claim("daemon-1", lease_s=LEASE_S)
    store.after, store.failures_left = True, 1
    outcome = TrainRun(
        step_count=1, sample_count=1, train_losses=(math.nan,), held_out_loss=None, diverged=True
    )
    happening = Measured(measurement=a_measurement(SCRIPT[3], outcome))
    appending = asyncio.create_task(_run(bench, recommendation, Cancellation()).append(happening))
    await advance_until(bench.clock, appending)
    appending.result()
    assert len(await store.log(recommendation.recommendation_id)) == 1


@pytest.mark.parametrize("reason", [StopReason.DRAIN, StopReason.LEASE_LOST])
async def test_a_run_that_is_to_be_left_does_not_wait(
    bench: Bench, store: FlakyStore, reason: StopReason
) -> None:
    store.method, store.failures_left = "log", 1
    recommendation = await store.create(a_recommendation())
    cancellation = Cancellation()
    cancellation.request(reason)
    with pytest.raises(StoreUnavailable):
        await _run(bench, recommendation, cancellation).log()


async def test_a_store_that_stays_away_is_given_up(bench: Bench, store: FlakyStore) -> None:
    store.method, store.failures_left = "log", 1_000_000
    recommendation = await store.create(a_recommendation())
    begun_s = bench.clock.monotonic_s()
    reading = asyncio.create_task(_run(bench, recommendation, Cancellation()).log())
    await advance_until(bench.clock, reading)
    assert isinstance(reading.exception(), StoreUnavailable)
    assert bench.clock.monotonic_s() - begun_s <= LEASE_S + 1


async def test_a_lost_lease_is_not_asked_for_again(bench: Bench, store: FlakyStore) -> None:
    recommendation = await store.create(a_recommendation())
    with pytest.raises(LeaseLost):
        await _run(bench, recommendation, Cancellation()).append(
            Measured(measurement=a_measurement())
        )


@pytest.mark.parametrize("jump_s", [1e6, -1e6])
async def test_its_own_work_is_not_begun_twice_when_the_clock_jumps(
    bench: Bench, jump_s: float
) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await bench.pool.entered.wait()
        bench.clock.jump(jump_s)
        for _ in range(5):
            await bench.clock.wait_for_sleepers(2)
            bench.clock.advance(2.0)
            await asyncio.sleep(0)
        assert bench.pool.open_session_count == 1
        bench.pool.gate.set()
        ending = asyncio.create_task(end_of(application, created))
        await advance_until(bench.clock, ending)
    assert ending.result().state is State.SUCCEEDED
    assert bench.pool.commands == list(SCRIPT)
