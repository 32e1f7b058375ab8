"""A first learning rate where the user names none: a range test at the reference batch.

The default of an optimizer's class is then the only hint, and the best rate can lie a hundred
times above it. Bracketing from there by fours would take three or four trials; a range test takes
about as long as one, and what it suggests is near enough for the first trial to be a useful one.
The search does not need it: where it fails or finds nothing, it begins from the default alone.
"""

from __future__ import annotations

import math

from bsadvise.model.commands import RangeTest
from bsadvise.model.measurements import RangeRun
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.range_test import RangeEstimate, estimate_range
from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size, reference_learning_rate
from advisor.planning.evidence.semantics import is_loss_sum, scaled_rate
from advisor.planning.throughput.step_cost import StepCost


def next_range_test(view: LogView) -> RangeTest | None:
    """Return the range test; None when it is not needed, was made, or would take too long."""
    if not _is_useful(view) or any(view.entries(RangeTest)):
        return None
    cost = view.model(StepCost)
    split = cost.split(reference_batch_size(view))
    if split is None:
        return None
    tuning, step_time_s = view.tuning.trials.range_test, cost.step_time_s(split)
    affordable = tuning.time_share * view.remaining_s / max(step_time_s, 1e-9)
    step_count = int(min(tuning.max_steps, affordable))
    if step_count < tuning.min_steps:
        return None
    default = reference_learning_rate(view)
    is_sgd = view.profile.optimizer.family is OptimizerFamily.SGD
    rate_factor = tuning.max_sgd_rate_factor if is_sgd else tuning.max_rate_factor
    stop_after_s = tuning.max_slowdown * step_count * step_time_s
    return RangeTest(
        micro_batch_size=split.micro_batch_size,
        accumulation_steps=split.accumulation_steps * split.world_size,
        smallest_learning_rate=tuning.min_rate_factor * default,
        largest_learning_rate=rate_factor * default,
        step_count=step_count,
        stop_after_s=stop_after_s,
        is_loss_sum=is_loss_sum(view),
        time_limit_s=hook_limit_s(view) + stop_after_s,
    )


def range_estimate(view: LogView) -> RangeEstimate | None:
    """Return the result of the range test; None when there was none, or it has none."""
    for _, run in view.figures(RangeTest, RangeRun):
        return estimate_range(
            run.learning_rates, run.train_losses, tuning=view.tuning.estimators.range_test
        )
    return None


def suggested_rate(view: LogView) -> float | None:
    """Return the learning rate to begin from at the reference batch; None without a test.

    In two digits: it is known within a factor of four at best.
    """
    estimate = range_estimate(view)
    return None if estimate is None else float(f"{estimate.suggested_rate:.2g}")


def is_suggested(view: LogView, batch_size: int, learning_rate: float) -> bool:
    """Return whether a rate is what the rule makes of the suggested one at a batch size."""
    suggested = suggested_rate(view)
    if suggested is None:
        return False
    scaled = scaled_rate(view, suggested, batch_size)
    tolerance = view.tuning.trials.range_test.same_rate_tolerance
    return math.isclose(learning_rate, scaled, rel_tol=tolerance)


def _is_useful(view: LogView) -> bool:
    return (
        view.device.present
        and view.step_times is not None
        and not view.profile.is_synthetic
        and view.profile.reference_learning_rate is None
        and view.request.max_trials != 0
    )
