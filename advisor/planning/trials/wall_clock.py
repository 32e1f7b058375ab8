"""Modelled wall-clock time of training steps and evaluations, and how much slower they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from bsadvise.model.commands import Evaluate, Train
from bsadvise.model.measurements import Evaluation, Measurement, TrainRun

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.step_cost import StepCost


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """What a training took: real seconds, modelled ones of its steps, and of its evaluations."""

    measures_noise: bool
    is_scheduled: bool
    wall_s: float
    modelled_s: float
    evaluations_s: float


@dataclass(frozen=True)
class WallClock:
    """What the trainings of a log took, and what others would.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def spent_s(self) -> float:
        """Modelled seconds of all trainings so far, evaluations of the held-out loss included."""
        return sum(training.modelled_s + training.evaluations_s for training in self._trainings)

    @cached_property
    def slowdown(self) -> float:
        """Real over modelled seconds of the trainings that measured no noise; 0 of none."""
        return _slowdown([t for t in self._trainings if not t.measures_noise])

    @cached_property
    def slowdown_of_long(self) -> float:
        """The same of those long enough to say it of a longer one, before any had a schedule; or 1.

        What a training takes however short, such as starting it, is most of a short one's time.
        """
        least_s = self.view.tuning.trials.rung_schedule.min_slowdown_s
        long = [t for t in self._at_constant_rate if t.modelled_s >= least_s]
        return _slowdown(long) or 1.0

    @cached_property
    def _at_constant_rate(self) -> tuple[_Training, ...]:
        """The trainings that measured no noise, before the first that had a schedule."""
        before = itertools.takewhile(lambda t: not t.is_scheduled, self._trainings)
        return tuple(t for t in before if not t.measures_noise)

    @cached_property
    def evaluation_s(self) -> float:
        """Seconds of one evaluation of the held-out loss."""
        return min(
            (
                entry.wall_s if entry.outcome.evaluation_s is None else entry.outcome.evaluation_s
                for _, entry in self.view.entries(Evaluate)
                if isinstance(entry.outcome, Evaluation)
            ),
            default=0.0,
        )

    @cached_property
    def reference_halvings(self) -> int:
        """How often the reference run would have to be halved not to be cut; 0 if it was not."""
        match next(iter(self.view.entries(Train)), None):
            case (command, Measurement(outcome=TrainRun(step_count=taken), wall_s=wall_s)) if (
                wall_s >= (command.stop_after_s or math.inf)
            ):
                return math.floor(math.log2(command.step_count / taken))
            case _:
                return 0

    def expected_s(self, command: Train) -> float:
        """Return the real seconds that a training should take; its evaluations alone of the first.

        Measuring noise takes time of its own: trainings count for their like alone, and for all
        while those have none. Trials at a constant rate are far shorter than trainings on a
        schedule: by how much they were slower than modelled counts as a time that any takes, unless
        they were long.
        """
        if command.schedule is not None:
            return self._expected_on_schedule_s(command)
        alike = [t for t in self._trainings if t.measures_noise is command.measure_noise]
        evaluations_s = self.evaluation_s * (1 + len(command.evaluation_steps))
        return self._modelled_s(command) * _slowdown(alike or self._trainings) + evaluations_s

    def _expected_on_schedule_s(self, command: Train) -> float:
        modelled_s, evaluation_s = self._modelled_s(command), self.evaluation_s
        alike = [t for t in self._trainings if t.is_scheduled]
        if alike:
            return modelled_s * _slowdown(alike) + evaluation_s
        factor, short = self.slowdown_of_long, self._at_constant_rate
        over_s = [max(0.0, t.wall_s - t.evaluations_s - factor * t.modelled_s) for t in short]
        return modelled_s * factor + evaluation_s + (fmean(over_s) if over_s else 0.0)

    @cached_property
    def _trainings(self) -> tuple[_Training, ...]:
        return tuple(
            _Training(
                measures_noise=command.measure_noise,
                is_scheduled=command.schedule is not None,
                wall_s=entry.wall_s,
                modelled_s=self._modelled_s(command, entry.outcome.step_count),
                evaluations_s=self.evaluation_s * (1 + len(entry.outcome.earlier_losses)),
            )
            for command, entry in self.view.entries(Train)
            if isinstance(entry.outcome, TrainRun)
        )

    def _modelled_s(self, command: Train, step_count: int | None = None) -> float:
        split = Split(command.micro_batch_size, command.accumulation_steps, 1)
        taken = command.step_count if step_count is None else step_count
        return taken * self.view.model(StepCost).step_time_s(split)


def _slowdown(trainings: Sequence[_Training]) -> float:
    modelled_s = sum(t.modelled_s for t in trainings)
    if not modelled_s:
        return 0.0
    return sum(max(0.0, t.wall_s - t.evaluations_s) for t in trainings) / modelled_s
