"""Observes a Python process that a measured command has started, and writes down what it did."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import torch
import torch.distributed
from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.device import Device
from bsadvise.model.measurements import Failed, Outcome
from bsadvise.model.observation import ObservationEnd

from advisor.messages import from_message
from advisor.pipe.unions import command_of
from advisor.pipe.v1 import pipe_pb2
from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.scripts.bounded_run import write_outcome
from advisor.worker.scripts.circumstances import Circumstances
from advisor.worker.scripts.counting import StepCounter, counter_of, run_of
from advisor.worker.scripts.descendants import (
    COMMAND,
    COPY,
    JOB,
    MAIN_PID,
    RECORDS,
    SEVERAL,
    SUFFIX,
)
from advisor.worker.scripts.handler import StopScript
from advisor.worker.scripts.interception import intercepted
from advisor.worker.scripts.observer import Observer
from advisor.worker.scripts.reference import observation_of
from advisor.worker.user.diagnosis import explain
from advisor.worker.user.oom import out_of_memory

_ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]

_INSTALLED = ExitStack()
"""What observes this process, to its end."""


def observe_this_process(environment: Mapping[str, str]) -> None:
    """Observe the training of this process, which is what the command asks for."""
    records = Path(environment[RECORDS])
    message = pipe_pb2.NumberedCommand.FromString((records / COMMAND).read_bytes())
    job = pipe_pb2.Job.FromString((records / JOB).read_bytes())
    command, copy = command_of(message), Path(environment[COPY])
    circumstances = Circumstances()
    if isinstance(command, ObserveScript):
        observer: Observer = Observer(copy, command.step_count)
    elif isinstance(command, RunScript):
        limit_bytes = job.memory_limit_bytes if job.HasField("memory_limit_bytes") else None
        device = TorchDevice(from_message(job.device, Device), limit_bytes)
        observer = counter_of(command, device)(copy, circumstances)
    else:
        raise TypeError(f"{type(command).__name__} starts no process")
    record = _Record(records, observer, circumstances, int(environment[MAIN_PID]))
    _INSTALLED.enter_context(circumstances.noted())
    observer.stop = record.end_process
    _INSTALLED.enter_context(intercepted(observer))
    atexit.register(record.write_at_exit)
    sys.excepthook = record.excepthook(copy, job.entry_path)


class _Record:
    """Writes down what one process did, once.

    Attributes:
        observer: What has watched it.
    """

    def __init__(
        self, records: Path, observer: Observer, circumstances: Circumstances, main_pid: int
    ) -> None:
        self.observer = observer
        self._circumstances = circumstances
        self._pid = os.getpid()
        self._path = records / f"{self._pid}{SUFFIX}"
        self._main_pid = main_pid

    def write(self, outcome: Outcome) -> None:
        """Write an outcome, unless there is one, or this is a child of the process."""
        if os.getpid() == self._pid and not self._path.exists():
            unfinished = self._path.with_suffix(".unfinished")
            unfinished.write_bytes(write_outcome(outcome))
            unfinished.rename(self._path)

    def write_seen(self, end: ObservationEnd) -> None:
        """Write what was seen so far."""
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            self.write(SEVERAL)
        elif isinstance(self.observer, StepCounter):
            self.write(run_of(self.observer, self._circumstances, end, ""))
        else:
            self.write(observation_of(self.observer, self._circumstances, end))

    def write_at_exit(self) -> None:
        """Write what was seen of a process that ends by itself, if it has trained."""
        if self.observer.step_count:
            self.write_seen(ObservationEnd.SCRIPT_ENDED)

    def excepthook(self, copy: Path, entry_path: str) -> _ExceptHook:
        """Return what takes the place of ``sys.excepthook``: writes the exception down first."""
        before = sys.excepthook

        def write(
            kind: type[BaseException], error: BaseException, traceback: TracebackType | None
        ) -> None:
            if isinstance(error, StopScript):
                self.write(SEVERAL)  # It was to start them.
            else:
                fault = explain(error, None, copy, entry_path)
                self.write(out_of_memory(error) or Failed(fault=fault))
            before(kind, error, traceback)

        return write

    def end_process(self) -> NoReturn:
        """Write down that enough was seen, end this process and have the command ended."""
        self.write_seen(ObservationEnd.ENOUGH_STEPS)
        with suppress(OSError):
            os.kill(self._main_pid, signal.SIGALRM)
        # As if it had trained to its end; what it would do then is not measured.
        os._exit(0)
