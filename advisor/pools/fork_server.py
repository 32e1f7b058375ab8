"""The daemon's handle on its fork server: starts it, asks it for workers, hears of their ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from bsadvise.model.measurements import Fault, FaultCode

from advisor.application.supervision import Supervisor
from advisor.kernel.removal import remove_tree
from advisor.pipe.framing import BadFrame, PipeClosed, read, send_fork_request
from advisor.pipe.v1 import pipe_pb2
from advisor.pools.environment import worker_environment
from advisor.pools.exit_status import ending
from advisor.pools.output import Output

T = TypeVar("T")

NoteLeft = Callable[[Path, str], None]
"""Is told of a directory of a worker's that could not be removed, and why."""

START_LIMIT_S = 120.0
"""A cold import of torch from a network disk takes a minute."""

CLOSE_LIMIT_S = 15.0
"""Ending every process takes milliseconds, unless a driver holds one in the kernel."""

SCRATCH_PREFIX = "bsadvise-scratch-"
"""How the names of scratch directories begin; nothing else is removed."""

MARK = "BSADVISE_FORK_SERVER"
"""Environment variable by which the descendants of a fork server are known."""

_MARK_ROUNDS = 3
"""A process may fork while it is looked for; one that has lost its parent seldom does."""


class ForkServerLost(Exception):
    """There is no worker because the fork server cannot be started, or has ended.

    Attributes:
        fault: What to say of the command that needed the worker.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkedProcess:
    """A process that the fork server has made.

    Attributes:
        pid: Its process id, and that of its process group.
        first_pid: The first process of its namespace, which adopts its orphans; None where it
            has none.
        scratch_dir: Its directory for temporary files.
        exit_code: Set when it has ended: its exit code, negative for a signal, or None when
            the fork server ended first.
    """

    pid: int
    first_pid: int | None
    scratch_dir: Path
    exit_code: asyncio.Future[int | None]


class ForkServer:
    """One fork server, from its start to its end. A new one takes the place of one that ended.

    Attributes:
        is_alive: Whether it takes requests, as far as is known.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        mark: str,
        control: socket.socket,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        output: Output,
        supervisor: Supervisor,
        note_left: NoteLeft,
    ) -> None:
        self.is_alive = True
        self._supervisor = supervisor
        self._note_left = note_left
        self._process = process
        self._mark = mark
        self._control = control
        self._reader, self._writer = streams
        self._output = output
        self._end_message = "The machine has no room for another process."
        self._last_worker_id = 0
        # By worker id. The fork of one that could not be forked is None, as is the exit of
        # one that the fork server did not live to see.
        self._forks: dict[int, asyncio.Future[pipe_pb2.Forked | None]] = {}
        self._exits: dict[int, asyncio.Future[int | None]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        supervisor: Supervisor,
        note_left: NoteLeft,
    ) -> ForkServer:
        """Start a fork server. It takes requests at once, though it first has torch to import.

        Args:
            command: What to run; the control socket's number is added to it.
            environment: Its environment; None for what workers may have of the daemon's.
            supervisor: Is told of errors that are not the fork server's.
            note_left: Is told of what its workers have left.

        Raises:
            ForkServerLost: There is no such program, or no room for another process.
            OSError: There is no room on the disk, or for another descriptor.
        """
        if environment is None:
            environment = worker_environment(os.environ)
        mark = secrets.token_hex(16)
        with contextlib.ExitStack() as on_failure:
            output = Output()
            on_failure.callback(output.close)
            ours, theirs = socket.socketpair()
            on_failure.callback(ours.close)
            with theirs:
                try:
                    process = await asyncio.create_subprocess_exec(
                        *command,
                        f"--control-fd={theirs.fileno()}",
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=output.fileno(),
                        stderr=output.fileno(),
                        pass_fds=[theirs.fileno()],
                        env={**environment, MARK: mark},
                        start_new_session=True,
                    )
                except OSError as error:
                    raise _lost(f"{command[0]} cannot be started: {error}.") from error
            streams = await asyncio.open_connection(sock=ours)
            on_failure.pop_all()
        return cls(process, mark, ours, streams, output, supervisor, note_left)

    async def fork(self, pipe: socket.socket, output: Output, stacks: Output) -> ForkedProcess:
        """Have a worker forked, and return once it is there.

        When the calling task is cancelled, the worker may still come to be; it ends when the
        daemon's end of its pipe is closed.

        Args:
            pipe: The worker's end of its pipe.
            output: What keeps its standard output and standard error.
            stacks: What keeps the stacks that it writes.

        Raises:
            ForkServerLost: There is no worker.
        """
        self._last_worker_id += 1
        worker_id = self._last_worker_id
        loop = asyncio.get_running_loop()
        fork = self._forks[worker_id] = loop.create_future()
        exited = self._exits[worker_id] = loop.create_future()
        request = pipe_pb2.ForkRequest(worker_id=worker_id)
        try:
            send_fork_request(
                self._control,
                request,
                (pipe.fileno(), output.fileno(), output.fileno(), stacks.fileno()),
            )
            async with asyncio.timeout(START_LIMIT_S):
                forked = await fork
        except OSError:  # TimeoutError is one too.
            self.kill()
            await asyncio.shield(self._listening)
            forked = None
        if forked is None:
            raise _lost(self._end_message)
        return ForkedProcess(
            pid=forked.pid,
            first_pid=forked.first_pid or None,
            scratch_dir=Path(forked.scratch_dir),
            exit_code=exited,
        )

    def worker_pids(self) -> Collection[int] | None:
        """Return the process ids of all workers; None while one is being forked.

        May be called from any thread.
        """
        forks = list(self._forks.values())
        if not all(fork.done() for fork in forks):
            return None
        results = [None if fork.cancelled() else fork.result() for fork in forks]
        return {forked.pid for forked in results if forked is not None}

    def kill(self) -> None:
        """End it at once, because it does not do its work. Its workers end a little later."""
        self.is_alive = False
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """End it and every process that came from it. Idempotent."""
        self.is_alive = False
        self._writer.close()
        await asyncio.shield(self._listening)
        self._output.close()

    async def _listen(self) -> None:
        """Hear of workers until the fork server ends; then all who wait are told, come what may."""
        try:
            await self._hear()
        except (PipeClosed, BadFrame):
            pass  # It has ended, or makes no sense any more.
        except Exception as error:  # noqa: BLE001 - a new one takes its place
            self._supervisor.note("fork server", error)
        self.is_alive = False
        try:
            await self._clear_up()
        except Exception as error:  # noqa: BLE001 - those who wait must hear of the end
            self._supervisor.note("fork server", error)
        finally:
            for fork in self._forks.values():
                _settle(fork, None)
            for exited in self._exits.values():
                _settle(exited, None)

    async def _hear(self) -> None:
        while True:
            self._note(await read(self._reader, pipe_pb2.FromForkServer()))

    async def _clear_up(self) -> None:
        self._writer.close()
        exit_code = await self._wait_for_end()
        if exit_code is None:
            self._end_message = "The process that starts workers cannot be ended."
            return
        if exit_code != 0:  # Else it has ended everything itself.
            await asyncio.to_thread(end_marked, self._mark)
            await asyncio.to_thread(self._remove_scratch)
        last_line = (self._output.tail() or "").rpartition("\n")[2]
        self._end_message = (
            f"The process that starts workers ended {ending(exit_code)}. {last_line}"
        )

    async def _wait_for_end(self) -> int | None:
        """Return its exit code; None where even killing it does not end it."""
        for end_it in (self.kill, lambda: None):
            try:
                async with asyncio.timeout(CLOSE_LIMIT_S):
                    return await self._process.wait()
            except TimeoutError:
                end_it()
        return None

    def _remove_scratch(self) -> None:
        """Remove what workers that were still there have left in their scratch directories."""
        for fork in list(self._forks.values()):
            forked = fork.result() if fork.done() and not fork.cancelled() else None
            if forked is not None and Path(forked.scratch_dir).name.startswith(SCRATCH_PREFIX):
                scratch_dir = Path(forked.scratch_dir)
                if reason := remove_tree(scratch_dir):
                    self._note_left(scratch_dir, reason)

    def _note(self, message: pipe_pb2.FromForkServer) -> None:
        if message.WhichOneof("message") == "forked":
            _settle(self._forks[message.forked.worker_id], message.forked)
            return
        worker_id = message.exited.worker_id
        fork = self._forks.pop(worker_id)
        if message.exited.scratch_left and fork.done() and not fork.cancelled():
            forked = fork.result()
            if forked is not None and Path(forked.scratch_dir).name.startswith(SCRATCH_PREFIX):
                self._note_left(Path(forked.scratch_dir), message.exited.scratch_left)
        _settle(fork, None)
        _settle(self._exits.pop(worker_id), message.exited.exit_code)


def kill_group(pid: int) -> None:
    """Kill a worker and its process group."""
    # A worker that was only just forked does not lead a group yet.
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
            return


def end_marked(mark: str) -> None:
    """Kill what a fork server left behind when it was killed itself.

    The kernel then ends its workers, but not what they have started. All of it has inherited
    the fork server's environment.
    """
    for _ in range(_MARK_ROUNDS):
        marked = [process for process in psutil.process_iter() if _mark_of(process) == mark]
        for process in marked:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):  # Gone, or another user's.
        return None


def _lost(message: str) -> ForkServerLost:
    return ForkServerLost(Fault(code=FaultCode.WORKER, message=message))


def _settle(future: asyncio.Future[T | None], value: T | None) -> None:
    if not future.done():  # Nor cancelled, with the task that waited for it.
        future.set_result(value)
