"""What was observed on the worker's host is in the log, and a lost device ends the search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise.model.advice import RefusalCode
from bsadvise.model.commands import Command, TimeSteps
from bsadvise.model.device import DeviceProcess
from bsadvise.model.measurements import Outcome
from bsadvise.model.recommendation import State

from advisor.domain.access import LOCAL_CALLER
from advisor.domain.errors import NoAnswer
from advisor.pools.observation import HostObserver
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.worker_pool import WorkerJob
from tests.support.bench import Bench, create, end_of
from tests.support.fake_clock import FakeClock
from tests.support.fake_energy_meter import FakeEnergyMeter
from tests.support.fake_inventory import GIB, FakeInventory, MovingInventory, make_gpu
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.scripted_planner import SCRIPT, answer

PERIOD_S = 0.02


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.inventory = FakeInventory(make_gpu())
    return bench


def observed_pool(
    bench: Bench,
    inventory: DeviceInventory,
    meter: FakeEnergyMeter | None = None,
    answer_with: Callable[[WorkerJob, Command], Outcome] = answer,
) -> FakeWorkerPool:
    host = HostObserver(
        inventory=inventory, energy_meter=meter or FakeEnergyMeter(), clock=bench.clock
    )

    async def answer_later(job: WorkerJob, command: Command) -> Outcome:
        outcome = answer_with(job, command)
        if meter is not None:
            await pass_time(bench.clock, 1.0)
        return outcome

    return FakeWorkerPool(answer_later, host)


async def pass_time(clock: FakeClock, duration_s: float) -> None:
    """Let time pass as a power watch sees it: from one read to the next."""
    for _ in range(round(duration_s / PERIOD_S)):
        await clock.wait_for_light_sleeper(PERIOD_S)
        clock.advance(PERIOD_S)


async def test_the_log_says_what_other_processes_did(bench: Bench) -> None:
    other = DeviceProcess(pid=7, process_name="python", used_bytes=GIB)
    # Before and after the first command; then it stays.
    moving = MovingInventory(make_gpu(), replace(make_gpu(), processes=(other,)))
    bench.pool = observed_pool(bench, moving)
    async with bench.running() as application:
        created = await create(application, await bench.request(device="cuda:0"), "one")
        await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    assert [entry.drift_bytes for entry in log] == [GIB, *[0] * (len(log) - 1)]


async def test_a_device_lost_meanwhile_ends_it_with_a_refusal(bench: Bench) -> None:
    bench.pool = observed_pool(bench, MovingInventory(make_gpu(), None))
    async with bench.running() as application:
        created = await create(application, await bench.request(device="cuda:0"), "one")
        ending = await end_of(application, created)
    assert ending.state is State.FAILED
    assert ending.refusal is not None
    assert ending.refusal.code is RefusalCode.DEVICE
    assert "was lost" in ending.refusal.message


async def test_a_device_lost_during_an_estimate_is_said(bench: Bench) -> None:
    bench.pool = observed_pool(bench, MovingInventory(make_gpu(), None))
    estimates = bench.build().estimates
    with pytest.raises(NoAnswer, match="was lost"):
        await estimates.estimate(LOCAL_CALLER, await bench.request(device="cuda:0"))


async def test_the_log_says_what_was_drawn(bench: Bench) -> None:
    meter = FakeEnergyMeter(200.0, bench.clock)

    def answer_with(job: WorkerJob, command: Command) -> Outcome:
        meter.power_w = 400.0 if isinstance(command, TimeSteps) else 200.0
        return answer(job, command)

    bench.pool = observed_pool(bench, bench.inventory, meter, answer_with)
    async with bench.running() as application:
        created = await create(application, await bench.request(), "one")
        await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    expected_w = [400.0 if isinstance(command, TimeSteps) else 200.0 for command in SCRIPT]
    assert [entry.mean_power_w for entry in log] == pytest.approx(expected_w)
    assert meter.open_count == 0


async def test_what_was_not_observed_is_not_in_the_log(bench: Bench) -> None:
    async with bench.running() as application:
        created = await create(application, await bench.request(device="cuda:0"), "one")
        await end_of(application, created)
    log = await bench.store.log(created.recommendation_id)
    assert {(entry.drift_bytes, entry.mean_power_w) for entry in log} == {(0, None)}
