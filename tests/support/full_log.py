"""A log as large as the daemon lets one become, in entries and in bytes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from bsadvise.model.commands import Command, Train
from bsadvise.model.device import Device
from bsadvise.model.measurements import (
    GradientNorms,
    LoaderTimes,
    Log,
    Measurement,
    Outcome,
    StepTimes,
    TrainRun,
)
from bsadvise.model.request import AdviceRequest

from advisor.domain.limits import MOST_FIGURES, MOST_LOG_ENTRIES, MOST_LOSSES
from advisor.pools.outcome_validation import is_possible
from benchmarks.planner_cost import long_log
from tests.support.hostile_logs import Liar, checked_outcome
from tests.support.simulated_device import SimulatedDevice

_NORMS = 100
"""Of each kind a training: the log then fills its bytes as it fills its entries."""


@dataclass
class VerboseDevice(SimulatedDevice):
    """Answers at length, and lies about a share of the trainings.

    Attributes:
        lying_share: 0 to 1; the reference run is never lied about, since the search would end.
    """

    lying_share: float = 0.0

    def __post_init__(self) -> None:
        self._random = random.Random(0)
        self._liar = Liar(self._random)

    def measure(self, command: Command) -> Measurement:
        """Carry out a command; a new trial in two micro-batches, which have norms to tell."""
        if isinstance(command, Train) and command.trial:
            command = replace(
                command,
                micro_batch_size=max(1, command.micro_batch_size // 2),
                accumulation_steps=2,
                measure_noise=True,
            )
        measured = super().measure(command)
        if (
            isinstance(command, Train)
            and command.trial
            and self._random.random() < self.lying_share
        ):
            return replace(measured, outcome=checked_outcome(command, self._liar.answer(command)))
        outcome = self._lengthened(command, measured.outcome)
        if not is_possible(command, outcome):
            raise ValueError(f"a daemon would not keep this: {outcome}")
        return replace(measured, outcome=outcome)

    def _lengthened(self, command: Command, outcome: Outcome) -> Outcome:
        match command, outcome:
            case _, StepTimes():
                step_time_s, *_ = outcome.step_times_s
                count = self._fitting(command, step_time_s)
                return replace(
                    outcome,
                    step_times_s=self._figures(step_time_s, count),
                    optimizer_times_s=self._figures(step_time_s / 10, count),
                )
            case _, LoaderTimes():
                batch_time_s, *_ = outcome.batch_times_s
                count = self._fitting(command, batch_time_s)
                return replace(outcome, batch_times_s=self._figures(batch_time_s, count))
            case Train(), TrainRun() if command.accumulation_steps > 1:
                return self._with_norms(command, outcome)
        return outcome

    def _with_norms(self, command: Train, run: TrainRun) -> TrainRun:
        count = min(_NORMS, run.step_count)
        return replace(
            run,
            train_losses=self._figures(2.3, min(MOST_LOSSES, run.step_count)),
            gradient_norms=GradientNorms(
                small_batch_size=command.micro_batch_size,
                big_batch_size=command.effective_batch_size,
                small_squared_norms=self._figures(2.0, count),
                big_squared_norms=self._figures(1.0, count),
                raw_norms=self._figures(1.0, count),
            ),
        )

    def _fitting(self, command: Command, each_s: float) -> int:
        """Return how many figures fit into the command's time, up to the most of an answer."""
        return min(MOST_FIGURES, int(command.time_limit_s / (1.2 * each_s)))

    def _figures(self, about: float, count: int) -> tuple[float, ...]:
        return tuple(about * self._random.uniform(0.9, 1.1) for _ in range(count))


def full_log(request: AdviceRequest, device: Device, lying_share: float) -> Log:
    """Return a log of ``MOST_LOG_ENTRIES`` long answers."""
    return long_log(request, device, MOST_LOG_ENTRIES, VerboseDevice(lying_share=lying_share))
