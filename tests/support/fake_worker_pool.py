"""A worker pool without processes: a function answers the commands."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from bsadvise.model.commands import Command
from bsadvise.model.measurements import Outcome, TimedOut

from advisor.pools.observation import DeviceObserver, HostObserver
from advisor.ports.worker_pool import CommandResult, WorkerJob, WorkerPool, WorkerSession

Answer = Callable[[WorkerJob, Command], Outcome | Awaitable[Outcome]]


class FakeWorkerPool(WorkerPool):
    """Answers commands from a function, at once or later, and remembers what it was asked.

    Attributes:
        gate: While it is not set, commands wait for it: clear it to hold them in mid-run. A
            command whose time limit passes meanwhile is TimedOut.
        entered: Set when a command begins.
        jobs: The job of each session, in order of opening.
        commands: Every command begun, in order.
        cancelled_commands: Those whose task was cancelled meanwhile.
        open_session_count: Sessions open now.
        is_closed: Whether the pool was closed.
    """

    def __init__(self, answer: Answer, host: HostObserver | None = None) -> None:
        self._answer = answer
        self._host = host
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.jobs: list[WorkerJob] = []
        self.commands: list[Command] = []
        self.cancelled_commands: list[Command] = []
        self.open_session_count = 0
        self.is_closed = False

    @asynccontextmanager
    async def open(self, job: WorkerJob) -> AsyncIterator[WorkerSession]:
        self.jobs.append(job)
        self.open_session_count += 1
        try:
            async with AsyncExitStack() as stack:
                observer = None
                if self._host is not None:
                    observer = await stack.enter_async_context(self._host.observing(job.devices))
                yield _FakeSession(self, job, observer)
        finally:
            self.open_session_count -= 1

    async def remove_leftovers(self) -> int:
        return 0

    async def close(self) -> None:
        self.is_closed = True

    async def carry_out(self, job: WorkerJob, command: Command) -> Outcome:
        """Answer one command, once the gate is open."""
        self.commands.append(command)
        self.entered.set()
        try:
            async with asyncio.timeout(command.time_limit_s):
                await self.gate.wait()
                answer = self._answer(job, command)
                return await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            return TimedOut(limit_s=command.time_limit_s)
        except asyncio.CancelledError:
            self.cancelled_commands.append(command)
            raise


class _FakeSession(WorkerSession):
    def __init__(
        self, pool: FakeWorkerPool, job: WorkerJob, observer: DeviceObserver | None
    ) -> None:
        self._pool = pool
        self._job = job
        self._observer = observer
        self._is_running = False

    async def run(self, command: Command) -> CommandResult:
        if self._is_running:
            raise RuntimeError("a session runs one command at a time")
        self._is_running = True
        try:
            if self._observer is None:
                return CommandResult(outcome=await self._pool.carry_out(self._job, command))
            return await self._observer.observe(lambda: self._pool.carry_out(self._job, command))
        finally:
            self._is_running = False
