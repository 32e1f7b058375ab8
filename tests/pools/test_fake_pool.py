"""The fake pool keeps the contract that the real ones keep."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bsadvise.model.commands import Command, TraceMemory
from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome

from advisor.pools.observation import HostObserver
from advisor.ports.worker_pool import WorkerJob
from tests.support.fake_worker_pool import FakeWorkerPool
from tests.support.worker_jobs import write_job
from tests.support.worker_pool_behaviours import ANSWER_TRACE, RAISED, RAN_OUT, Behaviour
from tests.support.worker_pool_contract import WorkerPoolContract, ask

DIED = Failed(fault=Fault(code=FaultCode.PROCESS_DIED, message="The process ended."))


class TestFakeWorkerPool(WorkerPoolContract):
    @pytest.fixture
    def pool(self) -> FakeWorkerPool:
        return FakeWorkerPool(self._answer)

    def make_pool(self, host: HostObserver) -> FakeWorkerPool:
        return FakeWorkerPool(self._answer, host)

    @pytest.fixture
    def job(self, tmp_path: Path) -> WorkerJob:
        return write_job(tmp_path, "")

    @pytest.fixture(autouse=True)
    def _is_hanging(self) -> None:
        self.is_hanging = asyncio.Event()

    async def wait_until_hanging(self, job: WorkerJob) -> None:
        await self.is_hanging.wait()

    async def _answer(self, job: WorkerJob, command: Command) -> Outcome:
        assert isinstance(command, TraceMemory)
        match Behaviour(command.micro_batch_size):
            case Behaviour.ANSWER:
                return ANSWER_TRACE
            case Behaviour.RAISE:
                return RAISED
            case Behaviour.RUN_OUT:
                return RAN_OUT
            case Behaviour.DIE:
                return DIED
            case Behaviour.HANG:
                self.is_hanging.set()
                await asyncio.Event().wait()
                raise AssertionError


async def test_a_closed_gate_holds_commands_back(tmp_path: Path) -> None:
    pool = FakeWorkerPool(lambda job, command: ANSWER_TRACE)
    pool.gate.clear()
    async with pool.open(write_job(tmp_path, "")) as session:
        held = asyncio.create_task(session.run(ask(Behaviour.ANSWER)))
        await pool.entered.wait()
        assert not held.done()
        pool.gate.set()
        assert (await held).outcome == ANSWER_TRACE
    assert pool.commands == [ask(Behaviour.ANSWER)]
