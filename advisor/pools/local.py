"""Workers on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from advisor.domain.commands import Command, needs_fresh_process
from advisor.domain.measurements import (
    Failed,
    Fault,
    FaultCode,
    Outcome,
    OutOfMemory,
    TimedOut,
)
from advisor.pools.box import Box
from advisor.pools.fork_server import ForkServer, ForkServerLost
from advisor.pools.worker_process import WorkerProcess
from advisor.ports.worker_pool import WorkerJob, WorkerPool, WorkerSession

GRACE_S = 0.25
"""Added to each time limit, for the answer's way back."""

# -P: what lies in the daemon's working directory must not pass for a module.
DEFAULT_COMMAND = (sys.executable, "-P", "-m", "advisor.worker")


class LocalPool(WorkerPool):
    """Workers that a fork server starts; one session has one worker at a time.

    However this process ends, its workers end with it.
    """

    def __init__(
        self, fork_server_command: Sequence[str] = DEFAULT_COMMAND, box: Box | None = None
    ) -> None:
        """Make a pool that has no process yet.

        Args:
            fork_server_command: What to run as the fork server.
            box: What its workers may take and reach; None for the usual limits and no sandbox.
        """
        self._command = fork_server_command
        self._box = box or Box()
        self._fork_server: ForkServer | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False

    @asynccontextmanager
    async def open(self, job: WorkerJob) -> AsyncIterator[WorkerSession]:
        """Open a session; its first worker is started by its first command."""

        async def start_worker() -> WorkerProcess:
            return await WorkerProcess.start(await self._live_fork_server(), job, self._box)

        session = _LocalSession(start_worker)
        try:
            yield session
        finally:
            await session.end_worker()

    async def close(self) -> None:
        """End the fork server, and with it every worker."""
        self._is_closed = True
        async with self._starting:
            if self._fork_server is not None:
                await self._fork_server.close()

    async def _live_fork_server(self) -> ForkServer:
        async with self._starting:
            if self._is_closed:
                fault = Fault(code=FaultCode.WORKER, message="The pool of workers is closed.")
                raise ForkServerLost(fault)
            if self._fork_server is not None and not self._fork_server.is_alive:
                await self._fork_server.close()
                self._fork_server = None
            if self._fork_server is None:
                self._fork_server = await ForkServer.start(self._command)
            return self._fork_server


class _LocalSession(WorkerSession):
    """Keeps a worker warm from one command to the next, unless something speaks against it."""

    def __init__(self, start_worker: Callable[[], Awaitable[WorkerProcess]]) -> None:
        self._start_worker = start_worker
        self._worker: WorkerProcess | None = None

    async def run(self, command: Command) -> Outcome:
        try:
            return await self._run_once(command)
        except ForkServerLost:
            pass
        # Another job may have killed it, so that this one deserves a second try.
        try:
            return await self._run_once(command)
        except ForkServerLost as error:
            return Failed(fault=error.fault)

    async def end_worker(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            await self._worker.end()
            self._worker = None

    async def _run_once(self, command: Command) -> Outcome:
        worker = await self._worker_for(command)
        is_spent = True
        try:
            async with asyncio.timeout(command.time_limit_s + GRACE_S):
                outcome = await worker.execute(command)
            is_spent = _ends_its_worker(outcome)
        except TimeoutError:
            outcome = TimedOut(limit_s=command.time_limit_s, hook=worker.hook)
        finally:
            if is_spent:
                await self.end_worker()
        return outcome

    async def _worker_for(self, command: Command) -> WorkerProcess:
        worker = self._worker
        if worker is not None and (
            worker.has_ended or (worker.has_run and needs_fresh_process(command))
        ):
            await self.end_worker()
        if self._worker is None:
            self._worker = await self._start_worker()
        return self._worker


def _ends_its_worker(outcome: Outcome) -> bool:
    """Return whether a worker must not be used again after what came of its command."""
    if isinstance(outcome, Failed):
        return outcome.fault.code in {FaultCode.PROCESS_DIED, FaultCode.WORKER}
    return isinstance(outcome, OutOfMemory)
