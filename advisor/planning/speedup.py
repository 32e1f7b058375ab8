"""How many times as fast as the reference the advice is, and how sure that is.

    ρ      reference's seconds to the target over the advice's
    s      standard deviation of the logarithm of one training's seconds to the target
    r      doublings of time by which the comparison stops short of the target

ρ is that of one training more of each. Its logarithm is taken to be normal about the estimate
with variance s²(1/n + 1/n') + (c·r)² + 2s², n and n' being how often each of the two was trained.
Short of the target ρ is what the ranking expects of the two: the ratio of their times to a loss
that both have come to, and the credit of the cooler one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from advisor.domain.advice import Interval
from advisor.planning.ranking import Ranking
from advisor.planning.trials import Trial

_Z_80 = 1.2816

_SPREAD = 0.2
_SPREAD_WEIGHT = 2
"""s before anything was replicated, and how many replicates that is worth. Near the best settings
of the benchmark's recordings it is 0.12 to 0.2, over three seeds each."""

_DRIFT = 0.2
"""c, of searches that were replayed on the benchmark's recordings."""


@dataclass(frozen=True)
class Speedup:
    """ρ and its 80 % interval."""

    ratio: float
    interval: Interval


def speedup_over_reference(ranking: Ranking, trial: Trial, floor: float) -> Speedup | None:
    """Return ρ of a trial; None where it cannot be compared with the reference.

    Args:
        ranking: Of every trial.
        trial: What is compared with the reference.
        floor: The lowest loss at which to compare where one of the two has not come to the
            target: what is gained below it is gained slowly.
    """
    reference = ranking.trials.reference
    if reference is None or not reference.is_sound or not trial.is_sound:
        return None
    if trial.number == reference.number:
        return Speedup(1.0, Interval(low=1.0, high=1.0))
    ours_s, theirs_s = trial.typical_arrival_s, reference.typical_arrival_s
    to_go = credit = 0.0
    if ours_s is None or theirs_s is None:
        loss = max(floor, *(t.loss_until(t.end_s) for t in (trial, reference)))
        ours_s, theirs_s = (ranking.time_at(t, loss) for t in (trial, reference))
        to_go = ranking.doublings_to_go(min(trial, reference, key=lambda t: t.end_s))
        credit = ranking.credit(trial, reference)
    ratio = theirs_s / ours_s * 2**credit
    variance = _variance(trial) + _variance(reference) + (_DRIFT * to_go) ** 2 + 2 * _SPREAD**2
    factor = math.exp(_Z_80 * math.sqrt(variance))
    return Speedup(ratio, Interval(low=ratio / factor, high=ratio * factor))


def _variance(trial: Trial) -> float:
    """Return the variance of the mean log seconds to the target over the replicates."""
    logs = [math.log(s) for s in (trial.arrival_s, *trial.replicates_s) if s is not None]
    mean = fmean(logs) if logs else 0.0
    squares = sum((log - mean) ** 2 for log in logs)
    freedom = _SPREAD_WEIGHT + max(len(logs) - 1, 0)
    return (_SPREAD_WEIGHT * _SPREAD**2 + squares) / freedom / max(len(logs), 1)
