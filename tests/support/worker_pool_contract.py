"""What every worker pool must do, whatever its workers are."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import pytest
from bsadvise.model.commands import TraceMemory
from bsadvise.model.measurements import Failed, FaultCode, OutOfMemory, TimedOut

from advisor.ports.worker_pool import WorkerJob, WorkerPool
from tests.support.worker_pool_behaviours import ANSWER_TRACE, Behaviour


def ask(behaviour: Behaviour, *, time_limit_s: float = 60) -> TraceMemory:
    return TraceMemory(time_limit_s=time_limit_s, micro_batch_size=behaviour)


class WorkerPoolContract(ABC):
    """Subclass it in a test module where there are fixtures ``pool`` and ``job``."""

    @abstractmethod
    async def wait_until_hanging(self, job: WorkerJob) -> None:
        """Return once a worker of the job carries out ``Behaviour.HANG``."""

    async def test_figures_come_back_unchanged(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_user_code_that_raises_is_an_outcome(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as session:
            outcome = await session.run(ask(Behaviour.RAISE))
            assert isinstance(outcome, Failed)
            assert outcome.fault.code is FaultCode.USER_EXCEPTION
            assert outcome.fault.message == "boom"
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_out_of_memory_is_an_outcome(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            assert isinstance(await session.run(ask(Behaviour.RUN_OUT)), OutOfMemory)
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_a_process_that_dies_is_an_outcome(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as session:
            outcome = await session.run(ask(Behaviour.DIE))
            assert isinstance(outcome, Failed)
            assert outcome.fault.code is FaultCode.PROCESS_DIED
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_time_that_runs_out_is_an_outcome(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            outcome = await session.run(ask(Behaviour.HANG, time_limit_s=0.3))
            assert isinstance(outcome, TimedOut)
            assert outcome.limit_s == 0.3
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_cancelling_ends_a_command(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            hanging = asyncio.create_task(session.run(ask(Behaviour.HANG)))
            await self.wait_until_hanging(job)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert await session.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE

    async def test_sessions_do_not_wait_for_each_other(
        self, pool: WorkerPool, job: WorkerJob
    ) -> None:
        async with pool.open(job) as one, pool.open(job) as other:
            hanging = asyncio.create_task(one.run(ask(Behaviour.HANG)))
            await self.wait_until_hanging(job)
            assert await other.run(ask(Behaviour.ANSWER)) == ANSWER_TRACE
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging

    async def test_a_pool_can_be_closed_twice(self, pool: WorkerPool, job: WorkerJob) -> None:
        async with pool.open(job) as session:
            await session.run(ask(Behaviour.ANSWER))
        await pool.close()
        await pool.close()
