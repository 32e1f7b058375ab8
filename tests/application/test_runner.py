"""A recommendation is carried to its end, however often it is interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bsadvise.model.advice import Advice, RefusalCode
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Failed, Log
from bsadvise.model.recommendation import (
    CommandStarted,
    Event,
    Happening,
    Measured,
    State,
    StateChanged,
)

from advisor.application.cancellation import Cancellation, StopReason
from advisor.application.log_size import kept_bytes
from advisor.application.planning_thread import PlanningThread
from advisor.domain.access import LOCAL_CALLER
from advisor.domain.errors import NotFound, StoreUnavailable
from advisor.domain.limits import MOST_LOG_BYTES, MOST_LOG_ENTRIES
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Commands, Plan
from tests.support.bench import LEASE_S, Bench, advance_until, create, end_of, watch
from tests.support.builders import a_fault
from tests.support.fake_inventory import FakeInventory, make_gpu
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.memory_store import MemoryStore
from tests.support.scripted_planner import SCRIPT, ScriptedPlanner


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return Bench.without_threads(tmp_path)


async def test_measures_what_the_planner_asks_and_gives_its_advice(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        ending = await end_of(application, created)
    stored = await bench.store.get(created.recommendation_id)
    log = await bench.store.log(created.recommendation_id)

    assert [entry.command for entry in log] == list(SCRIPT)
    assert ending.state is stored.state is State.SUCCEEDED
    assert ending.advice is not None
    assert ending.advice == stored.advice
    assert ending.advice.fingerprint == created.fingerprint
    assert not ending.advice.search.cache_hit
    assert ending.advice.sandbox == "off"
    assert "without a sandbox" in ending.advice.caveats[-1].text


async def test_measuring_that_never_ends_is_ended(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = await create(application, await bench.request(budget_s=1.0), "one")
        await bench.pool.entered.wait()
        bench.clock.advance(301)
        bench.pool.gate.set()
        ending = await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    assert len(log) == 1
    assert ending.refusal is not None
    assert ending.refusal.code is RefusalCode.TIMED_OUT


async def test_tells_of_each_command_before_and_after_it(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        events = await watch(application, created)

    kinds = [type(event.happening) for event in events]
    assert kinds == [
        StateChanged,
        StateChanged,
        *([CommandStarted, Measured] * len(SCRIPT)),
        StateChanged,
    ]
    measured = [e.happening for e in events if isinstance(e.happening, Measured)]
    assert [m.best is None for m in measured] == [True, False, False, False, False]
    assert all(m.best.fingerprint == created.fingerprint for m in measured if m.best)


async def test_wall_time_is_the_clock_s(bench: Bench) -> None:
    bench.pool.gate.clear()
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await bench.pool.entered.wait()
        bench.clock.advance(2.5)
        bench.pool.gate.set()
        await end_of(application, created)
    first, second, *_ = await bench.store.log(created.recommendation_id)
    assert (first.wall_s, second.wall_s) == (2.5, 0.0)


async def test_the_worker_is_told_what_the_request_says(bench: Bench) -> None:
    request = await bench.request(
        memory_limit_bytes=1 << 30, seed=7, build_kwargs={"width": "3"}, device="cpu"
    )
    async with bench.running() as application:
        await end_of(application, await create(application, request, "one"))
    (job,) = bench.pool.jobs

    assert job.memory_limit_bytes == 1 << 30
    assert (job.seed, job.build_kwargs) == (7, {"width": "3"})
    assert (job.source_dir / job.entry_path).read_text() == "def build_model(): ..."
    assert not job.checkpoint_dir.exists()  # removed with the answer given


async def test_all_devices_of_the_lease_are_the_job_s(bench: Bench) -> None:
    gpus = (make_gpu(1), make_gpu(0))
    bench.inventory = FakeInventory(*gpus)
    application = bench.build()
    created = await create(application, await bench.request(device="cuda:1"), "one")
    await bench.store.delete(created.recommendation_id)
    await bench.store.create(created, device_ids=[gpu.device_id for gpu in gpus])
    async with bench.running() as application:
        await end_of(application, created)
    assert [job.devices for job in bench.pool.jobs] == [gpus]


async def test_without_a_user_limit_the_worker_enforces_none(bench: Bench) -> None:
    async with bench.running() as application:
        await end_of(application, await create(application, await bench.request(), "one"))
    assert bench.pool.jobs[0].memory_limit_bytes is None


async def test_a_refusal_ends_it_failed(bench: Bench) -> None:
    fault = a_fault()
    bench.pool = FakeWorkerPool(lambda *_: Failed(fault=fault))
    async with bench.running() as application:
        ending = await end_of(application, await create(application, await bench.request(), "one"))
    assert ending.state is State.FAILED
    assert ending.refusal is not None
    assert ending.refusal.fault == fault


class _BrokenPlanner(ScriptedPlanner):
    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        if len(view.log) == 2:
            raise ZeroDivisionError
        return super().plan(view, running, capacity)


async def test_a_defect_ends_it_failed_and_the_daemon_lives_on(bench: Bench) -> None:
    bench.planner = _BrokenPlanner()
    async with bench.running() as application:
        first = await end_of(application, await create(application, await bench.request(), "one"))
        second = await end_of(
            application, await create(application, await bench.request(seed=1), "two")
        )
    for ending in (first, second):
        assert ending.refusal is not None
        assert ending.refusal.code is RefusalCode.INTERNAL


class _EndlessPlanner(ScriptedPlanner):
    """Always asks for more, and has no answer so far, or is stuck from some length of the log on.

    Args:
        stuck_at: That length.
    """

    def __init__(self, stuck_at: int | None = None) -> None:
        super().__init__()
        self._stuck_at = stuck_at
        self.is_stuck = threading.Event()

    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        while len(view.log) == self._stuck_at:
            self.is_stuck.set()
        return Commands((SCRIPT[0],))

    def best_so_far(self, view: LogView) -> Advice | None:
        return None


async def test_planning_that_takes_too_long_costs_its_own_recommendation(bench: Bench) -> None:
    bench.planner, bench.planning = _EndlessPlanner(stuck_at=1), PlanningThread(limit_s=0.01)
    async with bench.running() as application:
        ending = await end_of(application, await create(application, await bench.request(), "one"))
    assert ending.refusal is not None
    assert ending.refusal.code is RefusalCode.INTERNAL
    assert "took more than 0.01 s" in ending.refusal.message


async def test_a_cancel_ends_planning(tmp_path: Path) -> None:
    planner = _EndlessPlanner(stuck_at=0)
    bench = Bench(tmp_path, planner=planner)  # With threads, of which one is stuck.
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        assert await asyncio.to_thread(planner.is_stuck.wait, 60)
        await application.recommendations.cancel(LOCAL_CALLER, created.recommendation_id)
        assert (await end_of(application, created)).state is State.CANCELLED


async def test_a_log_that_is_full_ends_the_search(bench: Bench) -> None:
    long = a_fault(message="x" * 8_000, output="x" * 8_000, traceback="x" * 8_000)
    bench.planner = _EndlessPlanner()
    bench.pool = FakeWorkerPool(lambda *_: Failed(fault=long))
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        ending = await end_of(application, created)
    assert ending.refusal is not None
    assert "More was measured than one recommendation may keep" in ending.refusal.message
    log = await bench.store.log(created.recommendation_id)
    assert len(log) <= MOST_LOG_ENTRIES
    assert sum(map(kept_bytes, log)) < MOST_LOG_BYTES + 100_000


class _ShrinkingInventory(FakeInventory):
    is_gone = False

    def find(self, selector: str) -> Device:
        if self.is_gone:
            raise NotFound(f"there is no device {selector!r}")
        return super().find(selector)


async def test_a_device_that_has_gone_ends_it_failed(bench: Bench) -> None:
    bench.inventory = inventory = _ShrinkingInventory()
    created = await create(bench.build(), await bench.request(), "one")
    inventory.is_gone = True
    async with bench.running() as application:
        ending = await end_of(application, created)
    assert ending.refusal is not None
    assert ending.refusal.code is RefusalCode.DEVICE


async def test_cancel_kills_the_command_and_gives_the_best_so_far(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await _hold_at(bench, 3)
        await application.recommendations.cancel(LOCAL_CALLER, created.recommendation_id)
        ending = await end_of(application, created)

    assert ending.state is State.CANCELLED
    assert ending.advice is not None
    assert ending.advice.search.probe_count == 2
    assert bench.pool.cancelled_commands == [SCRIPT[2]]
    assert bench.pool.open_session_count == 0
    assert not bench.pool.jobs[0].checkpoint_dir.exists()


async def test_cancel_by_another_daemon_is_seen_at_the_heartbeat(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await _hold_at(bench, 1)
        await bench.store.request_cancel(created.recommendation_id)
        await bench.clock.wait_for_sleepers(2)  # the heartbeat and the queue
        bench.clock.advance(LEASE_S / 3)
        ending = await end_of(application, created)
    assert ending.state is State.CANCELLED
    assert ending.advice is None


async def test_a_long_command_keeps_its_lease(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await _hold_at(bench, 1)
        for _ in range(9):
            await bench.clock.wait_for_sleepers(2)
            bench.clock.advance(LEASE_S / 3)
            await asyncio.sleep(0)
        await bench.clock.wait_for_sleepers(2)
        assert await bench.store.claim("daemon-2", lease_s=LEASE_S) is None
        bench.pool.gate.set()
        assert (await end_of(application, created)).state is State.SUCCEEDED


async def test_drain_puts_it_back_and_another_daemon_goes_on(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await _hold_at(bench, 4)
        application.queue.drain()
    stored = await bench.store.get(created.recommendation_id)
    assert stored.state is State.QUEUED
    assert bench.pool.cancelled_commands == [SCRIPT[3]]
    assert bench.pool.jobs[0].checkpoint_dir.exists()

    bench.pool.gate.set()
    bench.owner = "daemon-2"
    async with bench.running() as application:
        ending = await end_of(application, created)
    assert ending.state is State.SUCCEEDED
    assert bench.pool.commands == [*SCRIPT[:4], *SCRIPT[3:]]  # only the stopped one twice


async def test_when_the_lease_is_lost_it_stops_quietly(bench: Bench) -> None:
    application = bench.build()
    created = await create(application, await bench.request(), "one")
    claim = await bench.store.claim("daemon-1", lease_s=LEASE_S)
    assert claim is not None
    runner = application.queue._runner
    await _hold_at(bench, 1, wait=False)
    running = asyncio.create_task(runner.run(claim, Cancellation()))
    await bench.pool.entered.wait()
    bench.dead_owners.add("daemon-1")
    assert await bench.store.claim("daemon-2", lease_s=LEASE_S)
    before = await bench.store.events(created.recommendation_id)
    await bench.clock.wait_for_sleepers()
    bench.clock.advance(LEASE_S / 3)
    await running

    assert bench.pool.cancelled_commands == [SCRIPT[0]]
    assert await bench.store.events(created.recommendation_id) == before


class _LapsingStore(MemoryStore):
    is_down = False

    async def renew(self, recommendation_id: str, owner: str, *, lease_s: float) -> bool:
        if self.is_down:
            raise StoreUnavailable("disk full")
        return await super().renew(recommendation_id, owner, lease_s=lease_s)


async def test_a_store_that_is_away_for_a_lease_s_length_costs_the_lease(bench: Bench) -> None:
    bench.store = store = _LapsingStore(bench.clock)
    application = bench.build()
    await create(application, await bench.request(), "one")
    claim = await store.claim("daemon-1", lease_s=LEASE_S)
    assert claim is not None
    await _hold_at(bench, 1, wait=False)
    cancellation = Cancellation()
    running = asyncio.create_task(application.queue._runner.run(claim, cancellation))
    await bench.pool.entered.wait()
    store.is_down = True
    for _ in range(3):
        await bench.clock.wait_for_sleepers()
        bench.clock.advance(LEASE_S / 3)
        await asyncio.sleep(0)
    await running
    assert cancellation.reason is StopReason.LEASE_LOST


class _DyingStore(MemoryStore):
    """Holds the caller for ever at its ``dies_at``-th call, before or after it is carried out."""

    def __init__(self, *args: Any, dies_at: int, after: bool) -> None:
        super().__init__(*args)
        self._calls_left = dies_at
        self._after = after
        self.died = asyncio.Event()

    async def append(self, recommendation_id: str, owner: str, happening: Happening) -> Event:
        await self._die(after=False)
        event = await super().append(recommendation_id, owner, happening)
        await self._die(after=True)
        return event

    async def finish(self, recommendation_id: str, owner: str, change: StateChanged) -> Event:
        await self._die(after=False)
        event = await super().finish(recommendation_id, owner, change)
        await self._die(after=True)
        return event

    async def log(self, recommendation_id: str) -> Log:
        await self._die(after=False)
        return await super().log(recommendation_id)

    async def _die(self, *, after: bool) -> None:
        if after is not self._after:
            return
        self._calls_left -= 1
        if self._calls_left == 0:
            self.died.set()
            await asyncio.Event().wait()


# A whole run is 12 calls: the log, two appends a command, and the finish.
@pytest.mark.parametrize("dies_at", range(1, 13))
@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_point_it_is_finished_by_another(
    bench: Bench, dies_at: int, after: bool
) -> None:
    bench.store = store = _DyingStore(
        bench.clock, bench.dead_owners.__contains__, dies_at=dies_at, after=after
    )
    first = asyncio.create_task(bench.build().queue.serve())
    created = await create(bench.build(), await bench.request(), "one")
    bench.clock.advance(2.0)
    died = asyncio.create_task(store.died.wait())
    finished = asyncio.create_task(end_of(bench.build(), created))
    await advance_until(bench.clock, died, finished)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.dead_owners.add("daemon-1")
    bench.owner = "daemon-2"
    async with bench.running():
        await advance_until(bench.clock, finished)
    died.cancel()

    log = await bench.store.log(created.recommendation_id)
    ending = finished.result()
    assert [entry.command for entry in log] == list(SCRIPT)
    assert ending.state is State.SUCCEEDED
    assert ending.advice is not None
    assert ending.advice.search.probe_count == len(SCRIPT)
    sequences = [e.sequence for e in await bench.store.events(created.recommendation_id)]
    assert sequences == list(range(1, len(sequences) + 1))


async def _hold_at(bench: Bench, number: int, *, wait: bool = True) -> None:
    """Hold the pool at its ``number``-th command."""
    pool = bench.pool
    original = pool.carry_out

    async def carry_out(job: Any, command: Any) -> Any:
        if len(pool.commands) + 1 == number:
            pool.gate.clear()
            held.set()
        return await original(job, command)

    held = asyncio.Event()
    pool.carry_out = carry_out  # type: ignore[method-assign]
    if wait:
        await held.wait()
        await pool.entered.wait()
