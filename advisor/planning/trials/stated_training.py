"""The training that advice is asked for: how long it is, and how its rate moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    StepSchedule,
    TrainingLength,
)

from advisor.domain.limits import COUNT
from advisor.estimators.horizon_schedule import Schedule, schedule_of
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.throughput.step_cost import StepCost


@dataclass(frozen=True)
class StatedTraining:
    """How long the model will be trained, by the request or else by the file.

    Attributes:
        view: The log so far; the task has been inspected.
    """

    view: LogView

    @cached_property
    def length(self) -> TrainingLength | None:
        """The length; None where nobody said it."""
        return self.view.request.train_for or self.view.profile.training_length

    @property
    def source(self) -> str:
        """Who said it."""
        return "request" if self.view.request.train_for is not None else "file"

    @property
    def schedule(self) -> LearningRateSchedule:
        """How the rate moves: a constant rate unless asked otherwise."""
        return self.view.request.schedule or LearningRateSchedule()

    @property
    def is_countable(self) -> bool:
        """Whether the length can be told in samples: of a stream no epoch is known."""
        has_epochs = self.view.profile.dataset_size is not None
        return self.length is not None and (self.length.unit is not LengthUnit.EPOCHS or has_epochs)

    def samples(self, batch_size: int) -> float:
        """Return D_B: the samples that a training with a batch sees, from one batch to 2^50.

        The same for all batches, unless the length is a time.

        Args:
            batch_size: B, one that can be run.

        Raises:
            LookupError: The length is not countable, or the batch cannot be run.
        """
        length, profile = self.length, self.view.profile
        if length is None or not self.is_countable:
            raise LookupError("the training has no length in samples")
        match length.unit:
            case LengthUnit.EPOCHS:
                samples = length.amount * (profile.dataset_size or 0)
            case LengthUnit.STEPS:
                samples = length.amount * reference_batch_size(self.view)
            case LengthUnit.SECONDS:
                samples = length.amount / self.sample_time_s(batch_size)
            case _:
                samples = length.amount
        return max(min(samples, COUNT.high), float(batch_size))

    def sample_time_s(self, batch_size: int) -> float:
        """Return the modelled seconds a sample of a batch. Raises LookupError if it cannot run."""
        cost = self.view.model(StepCost)
        split = cost.split(batch_size)
        if split is None:
            raise LookupError(f"a batch of {batch_size} cannot be run")
        return cost.step_time_s(split) / batch_size

    @cached_property
    def reference_s(self) -> float | None:
        """Modelled seconds of the training with the reference batch; None if not countable."""
        size = reference_batch_size(self.view)
        if not self.is_countable or self.view.step_times is None:
            return None
        split = self.view.model(StepCost).split(size)
        return None if split is None else self.samples(size) * self.sample_time_s(size)

    def steps(self, batch_size: int, samples: float) -> StepSchedule:
        """Return the schedule of a training of that many samples, in steps of a batch."""
        return self.schedule.over(max(1, round(samples / batch_size)))

    @cached_property
    def shape(self) -> Schedule:
        """The schedule as shares of the steps, which complete trainings of all lengths have."""
        size = reference_batch_size(self.view)
        steps = self.steps(size, self.samples(size))
        warmup_share = steps.warmup_steps / steps.total_steps
        return schedule_of(replace(self.schedule, warmup_share=warmup_share, warmup_steps=None))
