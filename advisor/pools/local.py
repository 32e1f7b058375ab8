"""Workers on this machine."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bsadvise.model.commands import Command
from bsadvise.model.measurements import (
    Failed,
    Fault,
    FaultCode,
    Outcome,
    OutOfMemory,
)

from advisor.application.supervision import Supervisor
from advisor.domain.fresh_process import needs_fresh_process
from advisor.kernel.removal import remove_tree
from advisor.pools.fork_server import ForkServer, ForkServerLost
from advisor.pools.interpreters import command_under, environment_under, lay_out_modules
from advisor.pools.observation import DeviceObserver, HostObserver
from advisor.pools.resource_limits import Isolation
from advisor.pools.sandbox import bwrap_command, namespaces_command
from advisor.pools.sandbox_degrees import BWRAP, NAMESPACES
from advisor.pools.worker_process import WorkerProcess
from advisor.ports.worker_pool import CommandResult, WorkerJob, WorkerPool, WorkerSession

_MODULES, _SCRATCH = "modules", "scratch"

GRACE_S = 0.25
"""Added to each time limit, for the answer's way back."""

# -P: what lies in the daemon's working directory must not pass for a module.
DEFAULT_COMMAND = (sys.executable, "-P", "-m", "advisor.worker")


class LocalPool(WorkerPool):
    """Workers that fork servers start; one session has one worker at a time.

    There is one fork server for each interpreter that was asked for. However this process ends,
    its workers end with it.
    """

    def __init__(
        self,
        fork_server_command: Sequence[str] = DEFAULT_COMMAND,
        isolation: Isolation | None = None,
        host: HostObserver | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Make a pool that has no process yet.

        Args:
            fork_server_command: What to run as the fork server of the daemon's own interpreter.
            isolation: What its workers may take and reach; None for the usual limits, no sandbox.
            host: Observes this host while commands run; None to observe nothing.
            supervisor: Keeps its tasks at work; None for one of its own.
        """
        self._command = fork_server_command
        self._isolation = isolation or Isolation()
        self._host = host
        self._supervisor = supervisor or Supervisor()
        self._left: set[Path] = set()
        self._folder: Path | None = None
        self._fork_servers: dict[Path | None, ForkServer] = {}
        self._starting = asyncio.Lock()
        self._is_closed = False

    @property
    def sandbox(self) -> str:
        """What confines user code."""
        return self._isolation.sandbox

    @asynccontextmanager
    async def open(self, job: WorkerJob) -> AsyncIterator[WorkerSession]:
        """Open a session; its first worker is started by its first command."""

        async def start_worker() -> WorkerProcess:
            try:
                fork_server = await self._live_fork_server(job.python)
                return await WorkerProcess.start(
                    fork_server, job, self._isolation, self._supervisor
                )
            except OSError as error:  # No room on the disk, or for another descriptor.
                message = f"No worker can be started: {error}."
                raise ForkServerLost(Fault(code=FaultCode.WORKER, message=message)) from error

        async with AsyncExitStack() as stack:
            observer = None
            if self._host is not None:
                observer = await stack.enter_async_context(self._host.observing(job.devices))
            uses_own_python = job.python is not None
            session = _LocalSession(start_worker, observer, uses_own_python=uses_own_python)
            stack.push_async_callback(session.end_worker)
            yield session

    async def remove_leftovers(self) -> int:
        """Try again to remove scratch directories that could not be when their workers ended."""
        for path in tuple(self._left):
            if reason := await asyncio.to_thread(remove_tree, path):
                self._note_left(path, reason)
            else:
                self._left.discard(path)
        return len(self._left)

    async def close(self) -> None:
        """End the fork servers, and with them every worker."""
        self._is_closed = True
        async with self._starting:
            for fork_server in self._fork_servers.values():
                await fork_server.close()
            if self._folder is not None:
                await asyncio.to_thread(remove_tree, self._folder)
                self._folder = None

    async def _live_fork_server(self, python: Path | None) -> ForkServer:
        async with self._starting:
            if self._is_closed:
                fault = Fault(code=FaultCode.WORKER, message="The pool of workers is closed.")
                raise ForkServerLost(fault)
            fork_server = self._fork_servers.get(python)
            if fork_server is not None and not fork_server.is_alive:
                await fork_server.close()
                fork_server = None
            if fork_server is None:
                fork_server = await self._start_fork_server(python)
                self._fork_servers[python] = fork_server
            return fork_server

    async def _start_fork_server(self, python: Path | None) -> ForkServer:
        command, environment = self._command, None
        if self._folder is None and (python is not None or self._isolation.sandbox == BWRAP):
            self._folder = await asyncio.to_thread(_make_folder)
        if python is not None and self._folder is not None:
            command = command_under(python)
            environment = environment_under(self._folder / _MODULES)
        if self._isolation.sandbox == BWRAP and self._folder is not None:
            command = await asyncio.to_thread(
                bwrap_command,
                command,
                self._isolation.reach,
                modules_dir=self._folder / _MODULES,
                scratch_root=self._folder / _SCRATCH,
            )
        if self._isolation.sandbox == NAMESPACES:
            command = namespaces_command(command, self._isolation.reach)
        return await ForkServer.start(
            command, environment, supervisor=self._supervisor, note_left=self._note_left
        )

    def _note_left(self, path: Path, reason: str) -> None:
        self._left.add(path)
        self._supervisor.note("removal", reason, path=str(path))


def _make_folder() -> Path:
    """Return a new directory for what fork servers need in addition to their program."""
    folder = Path(tempfile.mkdtemp(prefix="bsadvise-"))
    for name in (_MODULES, _SCRATCH):
        (folder / name).mkdir()
    lay_out_modules(folder / _MODULES)
    return folder


class _LocalSession(WorkerSession):
    """Keeps one worker process for successive commands, unless one needs a fresh process."""

    def __init__(
        self,
        start_worker: Callable[[], Awaitable[WorkerProcess]],
        observer: DeviceObserver | None,
        *,
        uses_own_python: bool,
    ) -> None:
        self._start_worker = start_worker
        self._observer = observer
        self._uses_own_python = uses_own_python
        self._worker: WorkerProcess | None = None

    async def run(self, command: Command) -> CommandResult:
        if self._observer is None:
            return CommandResult(outcome=await self._execute(command))
        return await self._observer.observe(lambda: self._execute(command))

    async def end_worker(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            await self._worker.end()
            self._worker = None

    async def _execute(self, command: Command) -> Outcome:
        try:
            return await self._run_once(command)
        except ForkServerLost:
            pass
        # Another job may have killed it, so that this one deserves a second try.
        try:
            return await self._run_once(command)
        except ForkServerLost as error:
            if self._uses_own_python and error.fault.code is FaultCode.WORKER:
                # What is amiss is then theirs to mend: packages that their interpreter lacks.
                return Failed(fault=replace(error.fault, code=FaultCode.MODEL_FILE))
            return Failed(fault=error.fault)

    async def _run_once(self, command: Command) -> Outcome:
        worker = await self._worker_for(command)
        is_spent = True
        try:
            async with asyncio.timeout(command.time_limit_s + GRACE_S):
                outcome = await worker.execute(command)
            is_spent = _ends_its_worker(outcome)
        except TimeoutError:
            outcome = await worker.timed_out(command.time_limit_s)
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
        return outcome.fault.code in {
            FaultCode.PROCESS_DIED,
            FaultCode.WORKER,
            FaultCode.MEASUREMENT,
        }
    return isinstance(outcome, OutOfMemory)
