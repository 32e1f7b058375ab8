"""The throughput stage: a short ladder of micro-batch sizes, and the loader alone."""

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

_FIRST_SIZE = 8
_MEASURE_SHARE = 0.008
_LEAST_MEASURE_S = 0.05
_LEAST_POWER_S = 0.4
"""A GPU's counter of energy moves every tenth of a second or sooner."""
_LONGEST_STEP_SHARE = 0.02
"""A size whose steps take more of the budget than this is not timed: five are needed."""

_GAIN = 1.05
"""Going up ends when doubling the batch twice did not raise samples/s by this factor."""
_SMALL_SHARE = 0.5
"""Going down goes on while samples/s are at least this share of the best."""


def next_timing(view: LogView) -> TimeSteps | TimeLoader | Refusal | None:
    """Return the next thing to time; None when the ladder is done."""
    timed = list(view.entries(TimeSteps))
    for command, entry in timed:
        if not isinstance(entry.outcome, StepTimes) and view.step_times is None:
            return refuse(command, entry.outcome)
    if view.step_times is None:
        return _time_steps(view, min(_FIRST_SIZE, _largest_size(view)))
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
    curve = view.step_times
    if curve is None:
        raise LookupError("no step was timed")
    rates = {size: size / time_s for size, time_s in sorted(curve.step_times_s.items())}
    largest = _largest_size(view)
    top, bottom = max(rates), min(rates)
    up = min(2 * top, largest)
    is_rising = len(rates) < 3 or rates[top] > _GAIN * list(rates.values())[-3]
    is_quick = curve.step_time_s(up) <= _LONGEST_STEP_SHARE * view.request.budget_s
    if is_rising and is_quick and up not in tried:
        return up
    down = bottom // 2
    smallest = 2 if view.profile.batch_norm_layer_count else 1
    is_worth_it = rates[bottom] >= _SMALL_SHARE * max(rates.values())
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
    wants_power = view.request.objective is Objective.ENERGY
    least_s = _LEAST_POWER_S if wants_power else _LEAST_MEASURE_S
    return max(least_s, _MEASURE_SHARE * view.request.budget_s)
