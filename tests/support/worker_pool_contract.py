"""What every worker pool must do, whatever its workers are."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace

import pytest
from bsadvise.model.commands import TraceMemory
from bsadvise.model.device import DeviceProcess
from bsadvise.model.measurements import Failed, FaultCode, OutOfMemory, TimedOut

from advisor.pools.observation import HostObserver
from advisor.ports.clock import Clock
from advisor.ports.device_inventory import DeviceInventory
from advisor.ports.worker_pool import DeviceLost, MeasurementContext, WorkerJob, WorkerPool
from tests.support.fake_energy_meter import FakeEnergyMeter
from tests.support.fake_inventory import GIB, FakeInventory, MovingInventory, make_gpu
from tests.support.worker_pool_behaviours import ANSWER_TRACE, Behaviour


def ask(behaviour: Behaviour, *, time_limit_s: float = 60) -> TraceMemory:
    return TraceMemory(time_limit_s=time_limit_s, micro_batch_size=behaviour)


class TickingClock(Clock):
    """Time that passes by a hundredth of a second whenever it is read."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self.monotonic_s()

    def monotonic_s(self) -> float:
        self._now_s += 0.01
        return self._now_s

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(0)


class WorkerPoolContract(ABC):
    """Subclass it in a test module where there are fixtures ``pool`` and ``job``."""

    @abstractmethod
    def make_pool(self, host: HostObserver) -> WorkerPool:
        """Return a pool that observes a host."""

    @abstractmethod
    async def wait_until_hanging(self, job: WorkerJob) -> None:
        """Return once a worker of the job carries out ``Behaviour.HANG``."""

    async def test_figures_come_back_unchanged(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_user_code_that_raises_is_an_outcome(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as session:
            outcome = (await session.run(ask(Behaviour.RAISE))).outcome
            assert isinstance(outcome, Failed)
            assert outcome.fault.code is FaultCode.USER_EXCEPTION
            assert outcome.fault.message == "boom"
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_out_of_memory_is_an_outcome(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            assert isinstance((await session.run(ask(Behaviour.RUN_OUT))).outcome, OutOfMemory)
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_a_process_that_dies_is_an_outcome(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as session:
            outcome = (await session.run(ask(Behaviour.DIE))).outcome
            assert isinstance(outcome, Failed)
            assert outcome.fault.code is FaultCode.PROCESS_DIED
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_time_that_runs_out_is_an_outcome(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            outcome = (await session.run(ask(Behaviour.HANG, time_limit_s=0.3))).outcome
            assert isinstance(outcome, TimedOut)
            assert outcome.limit_s == 0.3
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_cancelling_ends_a_command(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            hanging = asyncio.create_task(session.run(ask(Behaviour.HANG)))
            await self.wait_until_hanging(job)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert (await session.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE

    async def test_sessions_do_not_wait_for_each_other(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as one, pool.open(job) as other:
            hanging = asyncio.create_task(one.run(ask(Behaviour.HANG)))
            await self.wait_until_hanging(job)
            assert (await other.run(ask(Behaviour.ANSWER))).outcome == ANSWER_TRACE
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging

    async def test_a_pool_can_be_closed_twice(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            await session.run(ask(Behaviour.ANSWER))
        await pool.close()
        await pool.close()

    async def test_a_host_that_is_not_observed_is_not_reported(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as session:
            assert (await session.run(ask(Behaviour.ANSWER))).context == MeasurementContext()

    async def test_memory_that_other_processes_took_comes_with_the_outcome(
        self, job: WorkerJob
    ) -> None:
        quiet = make_gpu()
        other = DeviceProcess(pid=7, process_name="python", used_bytes=GIB)
        busy = replace(quiet, processes=(other,))
        pool = self.make_pool(_host(MovingInventory(quiet, busy, busy, busy, busy, quiet)))
        async with pool.open(replace(job, devices=(quiet,))) as session:
            for behaviour, drift_bytes in (
                (Behaviour.ANSWER, GIB),
                (Behaviour.ANSWER, 0),
                (Behaviour.RUN_OUT, GIB),
            ):
                result = await session.run(ask(behaviour))
                assert result.context == MeasurementContext(drift_bytes=drift_bytes)
        await pool.close()

    async def test_all_devices_of_a_job_are_observed(self, job: WorkerJob) -> None:
        other = DeviceProcess(pid=7, process_name="python", used_bytes=GIB)
        first, second = make_gpu(0), make_gpu(1)
        busy = replace(second, processes=(other,))
        pool = self.make_pool(_host(MovingInventory(first, second, first, busy)))
        async with pool.open(replace(job, devices=(first, second))) as session:
            result = await session.run(ask(Behaviour.ANSWER))
        assert result.context.drift_bytes == GIB
        await pool.close()

    @pytest.mark.parametrize("device_count", [1, 2])
    async def test_the_power_of_the_devices_comes_with_the_outcome(
        self, job: WorkerJob, device_count: int
    ) -> None:
        clock = TickingClock()
        meter = FakeEnergyMeter(200.0, clock)
        host = HostObserver(inventory=FakeInventory(), energy_meter=meter, clock=clock)
        pool = self.make_pool(host)
        async with pool.open(replace(job, devices=job.devices * device_count)) as session:
            result = await session.run(ask(Behaviour.HANG, time_limit_s=0.3))
        assert isinstance(result.outcome, TimedOut)
        assert result.context.mean_power_w == pytest.approx(200.0, rel=0.01)
        assert meter.open_count == 0
        await pool.close()

    async def test_a_device_that_does_not_answer_is_lost(self, job: WorkerJob) -> None:
        gpu = make_gpu()
        pool = self.make_pool(_host(MovingInventory(gpu, None)))
        async with pool.open(replace(job, devices=(gpu,))) as session:
            with pytest.raises(DeviceLost, match="was lost"):
                await session.run(ask(Behaviour.ANSWER))
        await pool.close()


def _host(inventory: DeviceInventory) -> HostObserver:
    return HostObserver(
        inventory=inventory, energy_meter=FakeEnergyMeter(None), clock=TickingClock()
    )
