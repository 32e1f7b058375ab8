"""What must hold of measurements that cross into the daemon."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bsadvise.model.measurements import (
    Evaluation,
    GradientNorms,
    LoaderTimes,
    LogEstimate,
    Measurement,
    MemoryParts,
    MemoryTrace,
    Prior,
    RangeRun,
    StepRun,
    StepTimes,
    TrainRun,
    Verification,
)

from advisor.domain.validation.quantities import above, are_seconds, at_least, finite, is_bytes


def _check_memory_parts(value: MemoryParts) -> None:
    for part in fields(value):
        is_bytes(part.name, getattr(value, part.name))


def _check_memory_trace(value: MemoryTrace) -> None:
    is_bytes("peak_bytes", value.peak_bytes)
    is_bytes("evaluation_peak_bytes", value.evaluation_peak_bytes)
    is_bytes("reserved_bytes", value.reserved_bytes)


def _check_step_run(value: StepRun) -> None:
    is_bytes("peak_bytes", value.peak_bytes)


def _check_step_times(value: StepTimes) -> None:
    if not value.step_times_s or len(value.step_times_s) != len(value.optimizer_times_s):
        raise ValueError("step_times_s and optimizer_times_s must be of one length above 0")
    are_seconds("step time", *value.step_times_s, *value.optimizer_times_s)
    at_least("processor_wait_s", value.processor_wait_s, 0)


def _check_loader_times(value: LoaderTimes) -> None:
    at_least("batch_size", value.batch_size, 1)
    if not value.batch_times_s:
        raise ValueError("batch_times_s must not be empty")
    are_seconds("batch time", *value.batch_times_s)
    at_least("processor_time_per_batch_s", value.processor_time_per_batch_s, 0)
    at_least("processor_wait_per_batch_s", value.processor_wait_per_batch_s, 0)


def _check_gradient_norms(value: GradientNorms) -> None:
    at_least("small_batch_size", value.small_batch_size, 1)
    if value.big_batch_size <= value.small_batch_size:
        raise ValueError("big_batch_size must exceed small_batch_size")
    if len(value.small_squared_norms) != len(value.big_squared_norms):
        raise ValueError("small_squared_norms and big_squared_norms must be of one length")
    for norm in (*value.small_squared_norms, *value.big_squared_norms):
        at_least("squared norm", norm, 0)
    for norm in value.raw_norms:
        at_least("norm", norm, 0)


def _check_train_run(value: TrainRun) -> None:
    at_least("step_count", value.step_count, 0)
    at_least("sample_count", value.sample_count, 0)
    finite("held-out loss", value.held_out_loss, *value.earlier_losses)


def _check_evaluation(value: Evaluation) -> None:
    finite("held_out_loss", value.held_out_loss)
    at_least("evaluation_s", value.evaluation_s, 0)


def _check_verification(value: Verification) -> None:
    at_least("step_count", value.step_count, 1)
    is_bytes("peak_bytes", value.peak_bytes)
    are_seconds("step time", *value.step_times_s)
    finite("final_loss", value.final_loss)
    at_least("not_finite_step", value.not_finite_step, 1)


def _check_range_run(value: RangeRun) -> None:
    if len(value.learning_rates) != len(value.train_losses):
        raise ValueError("learning_rates and train_losses must be of one length")
    for left, right in itertools.pairwise((0.0, *value.learning_rates)):
        above("learning rate", right, left)
    finite("training loss", *value.train_losses)


def _check_log_estimate(value: LogEstimate) -> None:
    above("median", value.median, 0)
    above("log_deviation", value.log_deviation, 0)


def _check_prior(value: Prior) -> None:
    at_least("answer_count", value.answer_count, 0)
    estimates = (value.critical_batch_size, value.largest_rate)
    if any((estimate is None) is (value.answer_count > 0) for estimate in estimates):
        raise ValueError("critical_batch_size and largest_rate must be there if answer_count is")


def _check_measurement(value: Measurement) -> None:
    at_least("wall_s", value.wall_s, 0)
    at_least("mean_power_w", value.mean_power_w, 0)


CHECKS: Mapping[type, Callable[[Any], None]] = {
    MemoryParts: _check_memory_parts,
    MemoryTrace: _check_memory_trace,
    StepRun: _check_step_run,
    StepTimes: _check_step_times,
    LoaderTimes: _check_loader_times,
    GradientNorms: _check_gradient_norms,
    TrainRun: _check_train_run,
    Evaluation: _check_evaluation,
    Verification: _check_verification,
    RangeRun: _check_range_run,
    LogEstimate: _check_log_estimate,
    Prior: _check_prior,
    Measurement: _check_measurement,
}
"""By class, what raises ValueError for a value that cannot be."""
