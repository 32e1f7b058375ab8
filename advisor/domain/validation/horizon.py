"""What must hold of the length and the schedule of a training that cross into the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.horizon import LearningRateSchedule, StepSchedule, TrainingLength

from advisor.domain.validation.quantities import above, at_least, share


def _check_training_length(value: TrainingLength) -> None:
    above("amount", value.amount, 0)


def _check_schedule(value: LearningRateSchedule) -> None:
    share("final_share", value.final_share)
    share("decay_share", value.decay_share)
    above("decay_share", value.decay_share, 0)
    share("warmup_share", value.warmup_share)
    if value.warmup_share == 1:
        raise ValueError("warmup_share must be below 1: no step would have the peak rate")
    at_least("warmup_steps", value.warmup_steps, 0)


def _check_step_schedule(value: StepSchedule) -> None:
    share("final_share", value.final_share)
    at_least("warmup_steps", value.warmup_steps, 0)
    at_least("decay_steps", value.decay_steps, 0)
    at_least("total_steps", value.total_steps, max(1, value.warmup_steps + value.decay_steps))


CHECKS: Mapping[type, Callable[[Any], None]] = {
    TrainingLength: _check_training_length,
    LearningRateSchedule: _check_schedule,
    StepSchedule: _check_step_schedule,
}
"""By class, what raises ValueError for a value that cannot be."""
