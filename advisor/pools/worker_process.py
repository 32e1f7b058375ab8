"""One worker process as the daemon sees it: trusted in nothing, held to its pipe's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import structlog
from bsadvise.model.commands import Command
from bsadvise.model.measurements import Failed, Fault, FaultCode, Outcome, OutOfMemory, TimedOut
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import to_message

from advisor.application.supervision import Supervisor
from advisor.messages import OutOfLimits
from advisor.pipe.framing import STACKS_SIGNAL, BadFrame, PipeClosed, frame, read
from advisor.pipe.unions import command_message, outcome_of
from advisor.pipe.v1 import pipe_pb2
from advisor.pools.cgroup import WorkerGroup
from advisor.pools.exit_status import outcome_of_exit, pipe_lost
from advisor.pools.fork_server import (
    CLOSE_LIMIT_S,
    ForkedProcess,
    ForkServer,
    ForkServerLost,
    kill_group,
)
from advisor.pools.outcome_validation import are_figures_of, cleaned, is_possible
from advisor.pools.output import Output, plain_text
from advisor.pools.processes import descendants_of
from advisor.pools.resource_limits import Isolation
from advisor.pools.stacks import Place, place_in
from advisor.pools.watchdog import INTERVAL_S, Watchdog
from advisor.ports.worker_pool import WorkerJob

EXIT_WAIT_S = 5.0
"""How long a process may take to end once its pipe is closed; CUDA's teardown takes seconds."""

MAX_HOOK_CHARACTERS = 100

_LOOK_INTERVAL_S = 0.02
_MOST_LOOKS = 25
"""How often to look for stacks: writing them takes a millisecond, or a time slice where all cores
are busy."""

_MOST_ASKED = 4
"""Processes of a data loader: those that wait do so in one place."""

_MOST_STACKS_BYTES = 1 << 18
"""A stack has at most 100 frames, of some hundred bytes each."""

_LOG = structlog.stdlib.get_logger(__name__)

_MEASUREMENT_FIX = (
    "Leave functions of PyTorch as they are in the model file and in what it imports: the "
    "measurements rely on them."
)


class WorkerProcess:
    """A worker, the daemon's end of its pipe, and what it prints.

    Attributes:
        hook: The hook that it has entered last in this command, as it says.
    """

    def __init__(
        self,
        fork_server: ForkServer,
        process: ForkedProcess,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        output: Output,
        stacks: Output,
        source_dir: Path,
        watchdog: Watchdog,
        watching: asyncio.Task[None],
        group: WorkerGroup | None = None,
    ) -> None:
        self.hook: str | None = None
        self._fork_server = fork_server
        self._process = process
        self._reader, self._writer = streams
        self._output = output
        self._stacks = stacks
        self._source_dir = source_dir
        self._watchdog = watchdog
        self._watching = watching
        self._group = group
        self._last_command_id = 0

    @classmethod
    async def start(
        cls,
        fork_server: ForkServer,
        job: WorkerJob,
        isolation: Isolation,
        supervisor: Supervisor,
    ) -> WorkerProcess:
        """Start a worker and tell it its job.

        Raises:
            ForkServerLost: There is no worker.
            OSError: There is no room on the disk, or for another descriptor.
        """
        with contextlib.ExitStack() as on_failure:
            output = Output()
            on_failure.callback(output.close)
            stacks = Output()
            on_failure.callback(stacks.close)
            ours, theirs = socket.socketpair()
            on_failure.callback(ours.close)
            with theirs:
                streams = await asyncio.open_connection(sock=ours)
                on_failure.callback(streams[1].close)
                process = await fork_server.fork(theirs, output, stacks)
            on_failure.pop_all()
        # Before it knows its job, so that all that user code takes is counted.
        group = _group_of(process, isolation)
        streams[1].write(frame(pipe_pb2.ToWorker(job=_job_message(job, isolation))))
        watchdog = Watchdog(
            process, job.checkpoint_dir, isolation.limits, fork_server.worker_pids, output
        )
        watching = asyncio.create_task(
            supervisor.keep(
                "watchdog", watchdog.watch, is_essential=True, longest_wait_s=INTERVAL_S
            )
        )
        source_dir = job.source_dir.resolve()
        return cls(
            fork_server, process, streams, output, stacks, source_dir, watchdog, watching, group
        )

    @property
    def has_run(self) -> bool:
        """Whether it was given a command."""
        return self._last_command_id > 0

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, as far as is known."""
        return self._process.exit_code.done()

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, for as long as that takes.

        Raises:
            ForkServerLost: The fork server ended, and took the process with it.
        """
        self._last_command_id += 1
        self.hook = None
        self._output.clear()
        self._stacks.clear()
        numbered = command_message(self._last_command_id, command)
        self._writer.write(frame(pipe_pb2.ToWorker(command=numbered)))
        try:
            outcome = await self._read_outcome(command)
        except PipeClosed:
            return await self._post_mortem()
        except OutOfLimits as error:
            outcome = Failed(fault=_no_measurement(error, self.hook))
        except (BadFrame, ValueError) as error:
            message = f"The worker broke its protocol: {error}."
            outcome = Failed(fault=Fault(code=FaultCode.WORKER, message=message, hook=self.hook))
        if not isinstance(outcome, Failed):
            return outcome
        fault = outcome.fault
        if fault.code is FaultCode.WORKER:
            _LOG.error(
                "a worker failed",
                command=type(command).__name__,
                reason=fault.message,
                traceback=fault.traceback,
            )
        if fault.code is FaultCode.MEASUREMENT:
            fault = dataclasses.replace(fault, fix=_MEASUREMENT_FIX)
        if fault.output is None:
            fault = dataclasses.replace(fault, output=self._output.tail())
        return Failed(fault=fault)

    async def end(self) -> None:
        """Kill the process and what it started; return when they are gone. Idempotent."""
        self._watching.cancel()
        if not self.has_ended:
            kill_group(self._process.pid)
        self._writer.close()
        await asyncio.wait([self._process.exit_code], timeout=CLOSE_LIMIT_S)
        if not self.has_ended:  # User code has stopped the fork server, or a driver holds it.
            self._fork_server.kill()
            await asyncio.shield(self._process.exit_code)
        await asyncio.to_thread(self._clean)
        self._output.close()
        self._stacks.close()

    async def timed_out(self, limit_s: float) -> TimedOut:
        """Return the outcome of the command that is still being carried out, and where that is."""
        with contextlib.suppress(OSError):
            place = await asyncio.to_thread(self._find_place)
            if place is not None:
                return TimedOut(
                    limit_s=limit_s,
                    hook=self.hook,
                    file=place.file,
                    line=place.line,
                    traceback=place.traceback,
                )
        return TimedOut(limit_s=limit_s, hook=self.hook)

    def _find_place(self) -> Place | None:
        """Ask the worker where it is; the processes of its data loader, where it waits for them.

        Raises:
            OSError: The process has ended, or its file cannot be read.
        """
        place = self._ask([self._process.pid])
        if place is not None and not place.waits_for_loader:
            return place
        _, *others = descendants_of([self._process.pid])
        return self._ask(others[:_MOST_ASKED]) or place

    def _ask(self, pids: Iterable[int]) -> Place | None:
        """Return the place of the first of some processes that is in the user's code."""
        for pid in pids:
            self._stacks.clear()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, STACKS_SIGNAL)
                self._wait_for_stacks()
            place = self._written_place()
            if place is not None:
                return place
        return None

    def _wait_for_stacks(self) -> None:
        """Wait until a process has written its stacks, or seems unable to."""
        size_bytes = 0
        for _ in range(_MOST_LOOKS):
            time.sleep(_LOOK_INTERVAL_S)
            before, size_bytes = size_bytes, self._stacks.size_bytes()
            if before == size_bytes > 0:
                return

    def _written_place(self) -> Place | None:
        return place_in(self._stacks.tail(_MOST_STACKS_BYTES) or "", self._source_dir)

    def _clean(self) -> None:
        self._watchdog.clean()
        if self._group is not None:
            self._group.remove()

    async def _read_outcome(self, command: Command) -> Outcome:
        while True:
            message = await read(self._reader, pipe_pb2.FromWorker())
            if not message.HasField("entering_hook"):
                break
            self.hook = plain_text(message.entering_hook.hook)[:MAX_HOOK_CHARACTERS]
            # Messages that have come already are read without waiting: without end, where a
            # worker sends them so, while nobody else's call is answered.
            await asyncio.sleep(0)
        if message.outcome.command_id != self._last_command_id:
            raise BadFrame(f"it answered command {message.outcome.command_id}")
        outcome = cleaned(outcome_of(message.outcome))
        if not is_possible(command, outcome):
            answered = f"{type(command).__name__} with {type(outcome).__name__}"
            if are_figures_of(command, outcome):
                raise OutOfLimits(f"its figures contradict what was asked for: {answered}")
            raise BadFrame(f"it answered {answered}")
        return outcome

    async def _post_mortem(self) -> Outcome:
        exited = self._process.exit_code
        await asyncio.wait([exited], timeout=EXIT_WAIT_S)
        output = self._output.tail()
        if not exited.done():  # User code has closed every descriptor, and goes on.
            return pipe_lost(hook=self.hook, output=output, place=self._written_place())
        exit_code = exited.result()
        verdict = self._watchdog.verdict
        if verdict is not None:
            return _at(verdict, self.hook, output)
        if exit_code is None:
            fault = Fault(
                code=FaultCode.PROCESS_DIED,
                message="The process that starts workers ended, and this one with it.",
                hook=self.hook,
                fix="Remove what sends signals to the parent process.",
                output=output,
            )
            raise ForkServerLost(fault)
        # What ends in a signal has written its stack to what it prints.
        place = self._written_place() or place_in(output or "", self._source_dir)
        return outcome_of_exit(exit_code, hook=self.hook, output=output, place=place)


def _no_measurement(error: OutOfLimits, hook: str | None) -> Fault:
    return Fault(
        code=FaultCode.MEASUREMENT,
        message=f"What was measured cannot be: {error}.",
        hook=hook,
    )


def _at(
    verdict: Failed | OutOfMemory, hook: str | None, output: str | None
) -> Failed | OutOfMemory:
    """Return a verdict with the place where it fell."""
    if isinstance(verdict, Failed):
        fault = dataclasses.replace(verdict.fault, hook=hook, output=output)
        return Failed(fault=fault)
    place = f"In {hook}: " if hook else ""
    return dataclasses.replace(verdict, message=place + verdict.message)


def _group_of(process: ForkedProcess, isolation: Isolation) -> WorkerGroup | None:
    """Return a worker's control group; None where it has none and the watchdog counts alone."""
    if isolation.groups is None:
        return None
    try:
        return isolation.groups.make(process.pid, isolation.limits.memory_bytes)
    except OSError as error:  # It has ended already, or another program has changed the group.
        _LOG.warning("a worker has no control group", error=str(error))
        return None


def _job_message(job: WorkerJob, isolation: Isolation) -> pipe_pb2.Job:
    message = pipe_pb2.Job(
        source_dir=str(job.source_dir),
        entry_path=job.entry_path,
        checkpoint_dir=str(job.checkpoint_dir),
        memory_limit_bytes=job.memory_limit_bytes,
        seed=job.seed,
        build_kwargs=job.build_kwargs,
        confinement=isolation.confinement(job),
        entry_kind=recommendation_pb2.EntryKind.Value(f"ENTRY_KIND_{job.entry_kind.name}"),
        arguments=job.arguments,
        model_class=job.model_class,
        data_paths=job.data_paths,
    )
    to_message(job.device, message.device)
    return message
