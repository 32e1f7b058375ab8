"""What must hold of commands that cross into the daemon."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from bsadvise.model.commands import (
    CompareOrders,
    Evaluate,
    InspectTask,
    ObserveScript,
    RangeTest,
    RecallAnswers,
    RunScript,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.observation import PlacedValue

from advisor.domain.validation.quantities import above, at_least, finite


def _check_inspect_task(value: InspectTask) -> None:
    above("time_limit_s", value.time_limit_s, 0)


def _check_observe_script(value: ObserveScript) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("step_count", value.step_count, 1)


def _check_run_script(value: RunScript) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("step_count", value.step_count, 1)
    above("measure_s", value.measure_s, 0)


def _check_placed_value(value: PlacedValue) -> None:
    above("before", value.before, 0)
    above("after", value.after, 0)


def _check_recall_answers(value: RecallAnswers) -> None:
    at_least("most_answers", value.most_answers, 1)


def _check_trace_memory(value: TraceMemory) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)


def _check_run_step(value: RunStep) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)


def _check_time_steps(value: TimeSteps) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    above("measure_s", value.measure_s, 0)


def _check_time_loader(value: TimeLoader) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("batch_size", value.batch_size, 1)
    above("measure_s", value.measure_s, 0)
    at_least("num_workers", value.num_workers, 1)


def _check_train(value: Train) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)
    above("learning_rate", value.learning_rate, 0)
    at_least("step_count", value.step_count, 1)
    at_least("evaluation_batch_size", value.evaluation_batch_size, 1)
    above("stop_after_s", value.stop_after_s, 0)
    at_least("first_sample", value.first_sample, 0)
    at_least("trial", value.trial, 0)
    at_least("rung", value.rung, 0)
    finite("target_loss", value.target_loss)
    at_least("replicate", value.replicate, 0)
    marks = (0, *value.evaluation_steps, value.step_count)
    if any(left >= right for left, right in itertools.pairwise(marks)):
        raise ValueError("evaluation_steps must rise from above 0 to below step_count")
    at_least("complete_number", value.complete_number, 1)
    above("stated_share", value.stated_share, 0)
    if value.schedule is not None and value.schedule.total_steps < value.step_count:
        raise ValueError("a schedule has at least step_count steps")
    if value.measure_noise and value.accumulation_steps < 2:
        raise ValueError("measure_noise needs accumulation_steps of at least 2")


def _check_evaluate(value: Evaluate) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("evaluation_batch_size", value.evaluation_batch_size, 1)


def _check_verify(value: Verify) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)
    above("learning_rate", value.learning_rate, 0)
    at_least("step_count", value.step_count, 1)


def _check_range_test(value: RangeTest) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("micro_batch_size", value.micro_batch_size, 1)
    at_least("accumulation_steps", value.accumulation_steps, 1)
    above("smallest_learning_rate", value.smallest_learning_rate, 0)
    above("largest_learning_rate", value.largest_learning_rate, value.smallest_learning_rate)
    at_least("step_count", value.step_count, 2)
    above("stop_after_s", value.stop_after_s, 0)


def _check_compare_orders(value: CompareOrders) -> None:
    above("time_limit_s", value.time_limit_s, 0)
    at_least("batch_size", value.batch_size, 2)
    at_least("batch_count", value.batch_count, 3)
    at_least("shuffle_count", value.shuffle_count, 1)
    at_least("most_read_samples", value.most_read_samples, value.batch_size * value.batch_count)


CHECKS: Mapping[type, Callable[[Any], None]] = {
    InspectTask: _check_inspect_task,
    ObserveScript: _check_observe_script,
    RunScript: _check_run_script,
    PlacedValue: _check_placed_value,
    RecallAnswers: _check_recall_answers,
    TraceMemory: _check_trace_memory,
    RunStep: _check_run_step,
    TimeSteps: _check_time_steps,
    TimeLoader: _check_time_loader,
    Train: _check_train,
    Evaluate: _check_evaluate,
    Verify: _check_verify,
    RangeTest: _check_range_test,
    CompareOrders: _check_compare_orders,
}
"""By class, what raises ValueError for a value that cannot be."""
