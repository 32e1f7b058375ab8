"""A worker for a workload that trains for real and reports modelled times."""

from __future__ import annotations

from dataclasses import replace

from bsadvise.model.commands import (
    Command,
    Evaluate,
    InspectTask,
    RangeTest,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
)
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    LoaderTimes,
    Log,
    Measurement,
    Outcome,
    RangeRun,
    StepTimes,
    TrainRun,
)

from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.trainer import Trainer

_TIMES = 5
"""Number of times in a measurement; all are equal."""

_OVERHEADS_S: dict[type, float] = {InspectTask: 1.0, TraceMemory: 0.1}
_OVERHEAD_S = 0.5
"""Seconds of commands that neither train nor time, about as on an idle machine."""


class ModelledWorker:
    """Carries out commands, and reports the modelled time that they take."""

    def __init__(self, recording: Recording, trainer: Trainer, *, counts_overheads: bool) -> None:
        """Take a workload.

        Args:
            recording: Gives the modelled times.
            trainer: Executes the commands.
            counts_overheads: Whether commands other than training take time.
        """
        self._recording = recording
        self._trainer = trainer
        self._counts_overheads = counts_overheads

    def measure(self, command: Command) -> Measurement:
        """Carry out a command."""
        outcome = self._outcome(command)
        return Measurement(command=command, outcome=outcome, wall_s=self._wall_s(command, outcome))

    def _outcome(self, command: Command) -> Outcome:
        recording = self._recording
        match command:
            case TimeSteps(micro_batch_size=size):
                time_s = recording.step_time_s(size) - size * recording.load_time_per_sample_s
                return StepTimes(
                    step_times_s=(time_s,) * _TIMES,
                    optimizer_times_s=(min(recording.optimizer_s, time_s),) * _TIMES,
                )
            case TimeLoader(batch_size=size):
                time_s = size * recording.load_time_per_sample_s
                return LoaderTimes(batch_size=size, batch_times_s=(time_s,) * _TIMES)
            case Evaluate():
                outcome = self._execute(command)
                if isinstance(outcome, Evaluation):
                    return replace(outcome, evaluation_s=recording.evaluation_s)
                return outcome
            case Train():
                return self._execute(self._cut(command))
            case RangeTest():
                outcome = self._execute(replace(command, stop_after_s=None))
                return self._cut_range(command, outcome)
            case _:
                return self._execute(command)

    def _execute(self, command: Command) -> Outcome:
        outcome = self._trainer.execute(command)
        if isinstance(outcome, Failed):
            raise SystemExit(f"{self._recording.workload}: {command}: {outcome.fault}")
        return outcome

    def _cut(self, command: Train) -> Train:
        """Return a training whose time limit is replaced by the number of steps within it."""
        step_count = min(command.step_count, self._steps_within(command))
        return replace(
            command,
            stop_after_s=None,
            step_count=step_count,
            evaluation_steps=tuple(mark for mark in command.evaluation_steps if mark < step_count),
        )

    def _cut_range(self, command: RangeTest, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, RangeRun):
            return outcome
        count = self._steps_within(command)
        return replace(
            outcome,
            learning_rates=outcome.learning_rates[:count],
            train_losses=outcome.train_losses[:count],
            diverged=outcome.diverged and len(outcome.train_losses) <= count,
        )

    def _steps_within(self, command: Train | RangeTest) -> int:
        """Return the number of steps that begin within a command's time limit."""
        if command.stop_after_s is None:
            return command.step_count
        return int(command.stop_after_s / self._step_time_s(command)) + 1

    def _step_time_s(self, command: Train | RangeTest) -> float:
        return self._recording.step_time_s(command.micro_batch_size * command.accumulation_steps)

    def _wall_s(self, command: Command, outcome: Outcome) -> float:
        match command, outcome:
            case Train(), TrainRun():
                evaluations = len(outcome.earlier_losses) + (outcome.held_out_loss is not None)
                evaluation_s = evaluations * self._recording.evaluation_s
                return outcome.step_count * self._step_time_s(command) + evaluation_s
            case RangeTest(), RangeRun():
                return len(outcome.train_losses) * self._step_time_s(command)
            case Evaluate(), _:
                return self._recording.evaluation_s
        if not self._counts_overheads:
            return 0.0
        if isinstance(command, TimeSteps | TimeLoader):
            return command.measure_s
        return _OVERHEADS_S.get(type(command), _OVERHEAD_S)


def training_s(log: Log) -> float:
    """Return the seconds of a log that were spent in training and evaluation."""
    return sum(
        entry.wall_s for entry in log if isinstance(entry.command, Train | RangeTest | Evaluate)
    )
