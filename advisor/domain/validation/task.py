"""What must hold of an inspected task that crosses into the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.observation import Observation, Reference, ScriptRun
from bsadvise.model.task import OptimizerProfile, TaskProfile

from advisor.domain.validation.quantities import above, are_seconds, at_least, finite, is_bytes


def _check_optimizer_profile(value: OptimizerProfile) -> None:
    rates = (value.default_learning_rate, value.weight_decay, value.momentum, value.epsilon)
    finite("optimizer's setting", *rates, *value.betas)


def _check_task_profile(value: TaskProfile) -> None:
    at_least("parameter_count", value.parameter_count, 0)
    at_least("trainable_parameter_count", value.trainable_parameter_count, 0)
    is_bytes("parameter_bytes", value.parameter_bytes)
    is_bytes("buffer_bytes", value.buffer_bytes)
    is_bytes("device_free_bytes", value.device_free_bytes)
    at_least("num_workers", value.num_workers, 0)
    at_least("cpu_count", value.cpu_count, 1)
    at_least("longest_sample", value.longest_sample, 0)
    at_least("peak_sample", value.peak_sample, 0)
    at_least("dataset_size", value.dataset_size, 1)
    at_least("evaluation_size", value.evaluation_size, 0)
    at_least("reference_batch_size", value.reference_batch_size, 1)
    above("reference_learning_rate", value.reference_learning_rate, 0)


def _check_reference(value: Reference) -> None:
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)
    at_least("optimizer_count", value.optimizer_count, 1)
    if value.batch_size != value.micro_batch_size * value.accumulation_steps:
        raise ValueError("batch_size must be micro_batch_size times accumulation_steps")
    above("learning_rate", value.learning_rate, 0)
    for rate in (*value.group_learning_rates, value.first_learning_rate):
        at_least("learning rate", rate, 0)
    at_least("dataset_size", value.dataset_size, 1)


def _check_observation(value: Observation) -> None:
    at_least("step_count", value.step_count, 0)
    at_least("backward_count", value.backward_count, 0)
    if value.reference is not None and value.step_count == 0:
        raise ValueError("a setting cannot have been seen without a step")
    at_least("start_s", value.start_s, 0)


def _check_script_run(value: ScriptRun) -> None:
    at_least("step_count", value.step_count, 0)
    if len(value.step_times_s) > value.step_count:
        raise ValueError("step_times_s must be no more than step_count")
    if value.setting is not None and value.step_count == 0:
        raise ValueError("a setting cannot have been seen without a step")
    are_seconds("step time", *value.step_times_s)
    is_bytes("peak_bytes", value.peak_bytes)


CHECKS: Mapping[type, Callable[[Any], None]] = {
    OptimizerProfile: _check_optimizer_profile,
    Observation: _check_observation,
    Reference: _check_reference,
    ScriptRun: _check_script_run,
    TaskProfile: _check_task_profile,
}
"""By class, what raises ValueError for a value that cannot be."""
