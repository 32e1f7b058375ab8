"""How many times as fast as the reference the advice is, and how sure that is.

    ρ      reference's seconds to the target over the advice's
    s      standard deviation of the logarithm of one training's seconds to the target
    r      doublings of time by which the comparison stops short of the target

ρ is that of one training more of each. Its logarithm is taken to be normal about the estimate
with variance s²(1/n + 1/n') + (c·r)² + 2s², n and n' being how often each of the two was trained
(luck.py has s).
Short of the target ρ is what the ranking expects of the two: the ratio of their times to a loss
that both have come to, and the credit of the cooler one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.domain.advice import Interval
from advisor.planning.ranking import Ranking
from advisor.planning.trials import Trial

_Z_80 = 1.2816

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
    luck = ranking.luck
    errors = (luck.error(trial), luck.error(reference), luck.spread, luck.spread, _DRIFT * to_go)
    variance = sum(error**2 for error in errors)
    factor = math.exp(_Z_80 * math.sqrt(variance))
    return Speedup(ratio, Interval(low=ratio / factor, high=ratio * factor))
