"""The throughput stage: a few micro-batch sizes, each twice the one before, and the loader."""

from __future__ import annotations

from bsadvise.model.advice import Refusal
from bsadvise.model.commands import TimeLoader, TimeSteps
from bsadvise.model.measurements import StepTimes
from bsadvise.model.request import Objective

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size
from advisor.planning.evidence.refusals import refuse
from advisor.planning.memory.memory_model import MemoryModel


def next_timing(view: LogView) -> TimeSteps | TimeLoader | Refusal | None:
    """Return the next thing to time; None when every size was that is needed."""
    timed = list(view.entries(TimeSteps))
    for command, entry in timed:
        if not isinstance(entry.outcome, StepTimes) and view.step_times is None:
            return refuse(command, entry.outcome)
    if view.step_times is None:
        return _time_steps(view, min(view.tuning.throughput.timing.first_size, _largest_size(view)))
    if not view.spent(view.tuning.evidence.seconds.max_timing_share):
        size = _next_size(view, {command.micro_batch_size for command, _ in timed})
        if size is not None:
            return _time_steps(view, size)
    if view.profile.dataset_size is None and view.profile.is_synthetic:
        return None
    if not list(view.entries(TimeLoader)):
        return TimeLoader(
            batch_size=reference_batch_size(view),
            measure_s=_measure_s(view),
            time_limit_s=hook_limit_s(view),
        )
    return None


def _next_size(view: LogView, tried: set[int]) -> int | None:
    curve, tuning = view.step_times, view.tuning.throughput.timing
    if curve is None:
        raise LookupError("no step was timed")
    rates = {size: size / time_s for size, time_s in sorted(curve.step_times_s.items())}
    largest = _largest_size(view)
    top, bottom = max(rates), min(rates)
    up = min(2 * top, largest)
    is_rising = len(rates) < 3 or rates[top] > tuning.min_gain * list(rates.values())[-3]
    is_quick = curve.step_time_s(up) <= tuning.max_step_share * view.request.budget_s
    if is_rising and is_quick and up not in tried:
        return up
    down = bottom // 2
    smallest = 2 if view.profile.batch_norm_layer_count else 1
    is_worth_it = rates[bottom] >= tuning.min_rate_share * max(rates.values())
    if down >= smallest and down not in tried and is_worth_it:
        return down
    reference = min(reference_batch_size(view), largest)
    return None if reference in tried else reference


def _largest_size(view: LogView) -> int:
    fits = view.model(MemoryModel).max_micro_batch_size
    return max(1, min(fits, view.profile.dataset_size or fits))


def _time_steps(view: LogView, size: int) -> TimeSteps:
    measure_s = _measure_s(view)
    return TimeSteps(
        micro_batch_size=size,
        measure_s=measure_s,
        time_limit_s=hook_limit_s(view) + view.tuning.evidence.seconds.limit_factor * measure_s,
    )


def _measure_s(view: LogView) -> float:
    tuning = view.tuning.throughput.timing
    wants_power = view.request.objective is Objective.ENERGY
    least_s = tuning.min_power_measure_s if wants_power else tuning.min_measure_s
    return max(least_s, tuning.measure_share * view.request.budget_s)
