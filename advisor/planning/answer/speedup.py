"""How many times as fast as the reference the advice is, and how sure that is.

    ρ      reference's seconds to the target over the advice's
    s      standard deviation of the logarithm of one training's seconds to the target
    r      doublings of time by which the comparison stops short of the target

ρ is that of one training more of each. Its logarithm is taken to be normal about the estimate
with variance s²(1/n + 1/n') + (c·r)² + 2s², n and n' being how often each of the two was trained
(``advisor.planning.trials.seed_variance`` estimates s).
Short of the target ρ is what the ranking expects of the two: the ratio of their times to a loss
that both have reached, less the penalty for noise of the one whose steps are noisier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bsadvise.model.advice import Interval

from advisor.estimators.quantiles import Z_80
from advisor.planning.trials.ranking import HELD_OUT, Measure, Ranking
from advisor.planning.trials.trials import Trial


@dataclass(frozen=True)
class Speedup:
    """ρ and its 80 % interval."""

    ratio: float
    interval: Interval


def speedup_over_reference(ranking: Ranking, trial: Trial, floor: float) -> Speedup | None:
    """Return ρ of a trial; None where it cannot be compared with the reference.

    Held-out losses lag early on, above all where batches are normalised: where they see a trial
    behind, those that it was ranked by are asked too.

    Args:
        ranking: Of every trial.
        trial: What is compared with the reference.
        floor: The lowest loss at which to compare where one of the two has not reached the
            target: what is gained below it is gained slowly.
    """
    ratio = held_out_ratio(ranking, trial, floor)
    reference = ranking.trials.reference
    if ratio is None or reference is None:
        return None
    if trial.number == reference.number:
        return Speedup(1.0, Interval(low=1.0, high=1.0))
    to_go = 0.0
    if trial.time_to_target_s is None or reference.time_to_target_s is None:
        to_go = ranking.doublings_to_go(min(trial, reference, key=lambda t: t.end_s))
        if ratio < 1:
            measure = ranking.measure_of(trial, reference)
            ratio = max(ratio, _ratio_by(measure, ranking, trial, reference, floor))
    seeds = ranking.seed_variance
    tuning = ranking.trials.view.tuning.answer.speedup
    extrapolation = tuning.extrapolation_deviation * to_go
    one_training = seeds.spread
    errors = (
        seeds.error(trial),
        seeds.error(reference),
        one_training,
        one_training,
        extrapolation,
    )
    variance = sum(error**2 for error in errors)
    factor = math.exp(Z_80 * math.sqrt(variance))
    return Speedup(ratio, Interval(low=ratio / factor, high=ratio * factor))


def held_out_ratio(ranking: Ranking, trial: Trial, floor: float) -> float | None:
    """Return ρ of a trial by held-out losses alone; the arguments are those of the speedup."""
    reference = ranking.trials.reference
    if reference is None or not reference.is_sound or not trial.is_sound:
        return None
    ours_s, theirs_s = trial.typical_time_to_target_s, reference.typical_time_to_target_s
    if ours_s is not None and theirs_s is not None:
        return theirs_s / ours_s
    return _ratio_by(HELD_OUT, ranking, trial, reference, floor)


def _ratio_by(
    measure: Measure, ranking: Ranking, trial: Trial, reference: Trial, floor: float
) -> float:
    """Return the times to the lowest loss that both reached, less the penalty for noise."""
    loss = max(floor, *(measure(t, t.end_s) for t in (trial, reference)))
    ours_s, theirs_s = (ranking.time_at(t, loss, measure) for t in (trial, reference))
    ratio: float = theirs_s / ours_s * 2.0 ** ranking.noise_penalty_difference(trial, reference)
    return ratio
