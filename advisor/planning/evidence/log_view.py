"""What a log says, read once: the stages ask this, not the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from bsadvise.model.commands import Command, InspectTask, TimeLoader, TimeSteps, Train, Verify
from bsadvise.model.device import Device
from bsadvise.model.measurements import (
    LoaderTimes,
    Log,
    Measurement,
    Outcome,
    OutOfMemory,
    StepTimes,
)
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import TaskProfile

from advisor.estimators.timing import StepTimeCurve, typical_time_s
from advisor.planning.evidence.invalid_measurements import sound_measurements

C = TypeVar("C", bound=Command)
O = TypeVar("O", bound=Outcome)  # noqa: E741 - the outcome beside the command


@dataclass(frozen=True)
class Facts:
    """A request, its device and what has been measured so far.

    Attributes:
        request: What was asked.
        device: The device.
        log: Every measurement, oldest first.
    """

    request: AdviceRequest
    device: Device
    log: Log

    @cached_property
    def sound(self) -> Log:
        """The log without what other processes on the device have spoilt."""
        return tuple(sound_measurements(self.log))

    @property
    def elapsed_s(self) -> float:
        """Seconds of measurement so far."""
        return sum(entry.wall_s for entry in self.log)

    @property
    def remaining_s(self) -> float:
        """Seconds of the budget that are left, at least 0."""
        return max(0.0, self.request.budget_s - self.elapsed_s)

    def spent(self, share: float) -> bool:
        """Return whether more than ``share`` of the budget has gone."""
        return self.elapsed_s > share * self.request.budget_s

    def entries(self, command_class: type[C]) -> Iterator[tuple[C, Measurement]]:
        """Yield the measurements of one kind of command, oldest first."""
        for entry in self.sound:
            if isinstance(entry.command, command_class):
                yield entry.command, entry

    def figures(self, command_class: type[C], outcome_class: type[O]) -> Iterator[tuple[C, O]]:
        """Yield the commands of one kind that came to one kind of outcome."""
        for command, entry in self.entries(command_class):
            if isinstance(entry.outcome, outcome_class):
                yield command, entry.outcome

    @cached_property
    def profile(self) -> TaskProfile:
        """The task. Raises LookupError before it was inspected."""
        for _, profile in self.figures(InspectTask, TaskProfile):
            return profile
        raise LookupError("the task has not been inspected")

    @cached_property
    def step_times(self) -> StepTimeCurve | None:
        """Step time by micro-batch size; None before any was timed."""
        timed = list(self.figures(TimeSteps, StepTimes))
        if not timed:
            return None
        return StepTimeCurve(
            {
                command.micro_batch_size: typical_time_s(times.step_times_s)
                for command, times in timed
            },
            typical_time_s([time_s for _, times in timed for time_s in times.optimizer_times_s]),
        )

    @cached_property
    def load_time_per_sample_s(self) -> float | None:
        """Seconds to fetch one sample; None when the loader was not timed."""
        for _, times in self.figures(TimeLoader, LoaderTimes):
            return typical_time_s(times.batch_times_s) / times.batch_size
        return None

    @property
    def smallest_out_of_memory(self) -> int | None:
        """The smallest micro-batch that ran out of memory where it was really run."""
        return min(
            (
                entry.command.micro_batch_size
                for entry in self.sound
                if isinstance(entry.outcome, OutOfMemory)
                and isinstance(entry.command, TimeSteps | Train | Verify)
            ),
            default=None,
        )

    def loading_s(self) -> float:
        """Return the seconds that a fresh process needs before user code is ready."""
        for _, entry in self.entries(InspectTask):
            return entry.wall_s
        return 0.0
