"""What tests of stated lengths share: a device, requests, and what was trained to its end."""

from __future__ import annotations

from collections.abc import Callable

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Train
from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    ScheduleShape,
    TrainingLength,
)
from bsadvise.model.measurements import Log
from bsadvise.model.task import OptimizerFamily, OptimizerProfile, TaskProfile

from tests.support.builders import a_profile, a_request
from tests.support.simulated_device import SimulatedDevice, fresh_errors

Recommend = Callable[..., tuple[Advice | Refusal, Log]]
"""Carries a recommendation to its end on a device."""

SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)
LINEAR = LearningRateSchedule(shape=ScheduleShape.LINEAR)


def a_stated_profile(**changes: object) -> TaskProfile:
    """Return a task of SGD with a data set of 50,000 samples."""
    given: dict[str, object] = {
        "optimizer": SGD,
        "reference_batch_size": 32,
        "reference_learning_rate": 0.05,
        "dataset_size": 50_000,
    }
    return a_profile(**given | changes)


def simulated_device(**changes: object) -> SimulatedDevice:
    """Return a device, of which some fields are those of the task."""
    profile = a_stated_profile(
        optimizer=changes.pop("optimizer", SGD),
        reference_learning_rate=changes.pop("learning_rate", 0.05),
        dataset_size=changes.pop("dataset_size", 50_000),
        training_length=changes.pop("training_length", None),
    )
    given: dict[str, object] = {"profile": profile, "gradient_noise": 10.0}
    return SimulatedDevice(**given | changes)  # type: ignore[arg-type] # any field


def advised(
    recommend: Recommend, simulated: SimulatedDevice, **asked: object
) -> tuple[Advice, Log]:
    """Return the advice of a device, and its log."""
    request = a_request(memory_limit_bytes=simulated.limit_bytes, **asked)
    answer, log = recommend(simulated, request)
    assert isinstance(answer, Advice)
    return answer, log


def epochs(amount: float) -> TrainingLength:
    """Return so many passes over the data."""
    return TrainingLength(amount=amount, unit=LengthUnit.EPOCHS)


def complete_trainings(log: Log) -> list[Train]:
    """Return the trainings that were to go to the end of their schedule."""
    commands = [entry.command for entry in log if isinstance(entry.command, Train)]
    return [c for c in commands if c.schedule and c.schedule.total_steps == c.step_count]


def final_loss(simulated: SimulatedDevice, batch_size: int, rate: float, samples: float) -> float:
    """Return the loss at the end of a training on a linear schedule."""
    steps = max(1, round(samples / batch_size))
    errors = simulated.train(
        fresh_errors(),
        batch_size=batch_size,
        learning_rate=rate,
        steps=steps,
        schedule=LINEAR.over(steps),
    )
    return simulated.loss(errors)
