"""Executes a worker's commands for a workload in this process."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TypeVar

from bsadvise.model.commands import Command, Train
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.horizon import StepSchedule
from bsadvise.model.measurements import Outcome, TrainRun
from bsadvise.v1 import recommendation_pb2
from bsadvise.wire.messages import to_message

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.commands.execution import Worker
from benchmarks.regret_bench.workloads import DIRECTORY

F = TypeVar("F", bound=Outcome)

LIMIT_S = 3600.0
EVALUATION_BATCH_SIZE = 256

CPU = Device(
    device_id="cpu",
    name=platform.processor() or platform.machine(),
    kind=DeviceKind.CPU,
    present=True,
    total_bytes=1 << 34,
    free_bytes=1 << 33,
)


class Trainer:
    """Executes commands for one workload with one seed."""

    def __init__(self, workload: str, scratch_dir: Path, seed: int) -> None:
        """Take a workload.

        Args:
            workload: Its name.
            scratch_dir: Directory of checkpoints.
            seed: Of the weights and of the order of the samples.
        """
        job = pipe_pb2.Job(
            source_dir=str(DIRECTORY),
            entry_path=f"{workload}.py",
            entry_kind=recommendation_pb2.ENTRY_KIND_MODEL_FILE,
            checkpoint_dir=str(scratch_dir),
            seed=seed,
        )
        to_message(CPU, job.device)
        self._worker = Worker(job, lambda _: None)
        self.execute = self._worker.execute

    def ask(self, command: Command, cls: type[F]) -> F:
        """Return the outcome of a command that must not fail."""
        outcome = self.execute(command)
        if not isinstance(outcome, cls):
            raise SystemExit(f"{command}: {outcome}")
        return outcome

    def train(
        self,
        batch_size: int,
        learning_rate: float,
        step_count: int,
        marks: tuple[int, ...],
        schedule: StepSchedule | None = None,
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Train from fresh weights; return the evaluated steps and their held-out losses.

        Args:
            batch_size: B.
            learning_rate: η, with a schedule its peak.
            step_count: Optimizer steps.
            marks: Steps after which to evaluate, ascending; the last one is evaluated anyway.
            schedule: Of the learning rate; None for a constant one.
        """
        command = Train(
            time_limit_s=LIMIT_S,
            micro_batch_size=batch_size,
            accumulation_steps=1,
            learning_rate=learning_rate,
            step_count=step_count,
            evaluation_steps=tuple(mark for mark in marks if mark < step_count),
            evaluation_batch_size=EVALUATION_BATCH_SIZE,
            schedule=schedule,
        )
        run = self.ask(command, TrainRun)
        last = [] if run.held_out_loss is None else [run.held_out_loss]
        losses = tuple(float(f"{loss:.5g}") for loss in (*run.earlier_losses, *last))
        return (*command.evaluation_steps, step_count)[: len(losses)], losses
