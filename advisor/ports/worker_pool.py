"""Where commands are carried out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Outcome
from bsadvise.model.request import EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """What a worker needs to know in addition to its commands.

    Attributes:
        source_dir: Directory that holds the user's unpacked bundle.
        entry_path: The entry file inside it.
        checkpoint_dir: Directory in which trainings keep and find their checkpoints. It
            outlives the worker and the daemon.
        devices: Devices that are held for it, at least one. A command is carried out by one
            process, on the first of them.
        memory_limit_bytes: Live bytes that the worker enforces; None to enforce nothing.
        seed: Seed of the weights and of the data order.
        build_kwargs: Keyword arguments of the user's ``build_model``, as text.
        python: The interpreter to run under; None for the daemon's own.
        entry_kind: What the entry file is.
        arguments: Its command line.
        model_class: Class of the LightningModule to train; empty for the only one.
        data_paths: Absolute paths of what a script finds beside it, by paths relative to the
            source.
    """

    source_dir: Path
    entry_path: str
    checkpoint_dir: Path
    devices: tuple[Device, ...]
    memory_limit_bytes: int | None = None
    seed: int = 0
    build_kwargs: Mapping[str, str] = field(default_factory=dict)
    python: Path | None = None
    entry_kind: EntryKind = EntryKind.MODEL_FILE
    arguments: tuple[str, ...] = ()
    model_class: str = ""
    data_paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def device(self) -> Device:
        """The device that commands are carried out on."""
        return self.devices[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementContext:
    """What was observed on the worker's host while a command was carried out.

    CPU contention is no part of it: a worker reads that of its own threads, and it is in the
    outcome.

    Attributes:
        drift_bytes: Sum over other processes of the device memory in bytes that each took or
            gave back between the command's begin and its end; None where it was not read.
        mean_power_w: Watts that one of the job's devices drew on average; of TimeSteps, while
            steps were timed. None where it was not read of all of them.
    """

    drift_bytes: int | None = None
    mean_power_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What came of a command, and under which conditions."""

    outcome: Outcome
    context: MeasurementContext = MeasurementContext()


class DeviceLost(Exception):
    """A device of a job does not answer any more; the message says which, for the user."""


class WorkerSession(ABC):
    """A run of commands for one job."""

    @abstractmethod
    async def run(self, command: Command) -> CommandResult:
        """Carry out one command and return what came of it.

        User code that raises, a process that dies, memory that runs out and time that runs
        out are outcomes, never exceptions. Within ``command.time_limit_s`` plus the time that
        a process takes to start and to die, this returns. One command at a time. When the
        calling task is cancelled, the process is killed before CancelledError goes on.

        Raises:
            DeviceLost: A device of the job does not answer any more.
        """


class WorkerPool(ABC):
    """Gives out sessions. Safe for concurrent use by tasks of one event loop."""

    @property
    def sandbox(self) -> str:
        """What confines user code: "off" for nothing, or the name of a sandbox."""
        return "off"

    @abstractmethod
    def open(self, job: WorkerJob) -> AbstractAsyncContextManager[WorkerSession]:
        """Open a session; leaving it ends every process that it started."""

    @abstractmethod
    async def remove_leftovers(self) -> int:
        """Try again to remove what workers have left that could not be removed when they ended.

        Returns:
            How many directories are still left.
        """

    @abstractmethod
    async def close(self) -> None:
        """End every process of the pool. Idempotent."""
