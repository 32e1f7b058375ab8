"""Seed-to-seed variance of the time to target, pooled over the settings of a task.

    symbol  meaning                                                                       unit
    s       standard deviation of the logarithm of one training's seconds to the target   –
    n       how often a setting was trained                                               –
    m       mean logarithm of its seconds                                                 –

s is taken to be the same for all settings of a task, and pooled over those that were trained more
than once. The mean of n trainings is then off by about s/√n. Of many settings that were trained
once, the first to reach the target owes part of its lead to its seed. So answers go by the upper
bound exp(m + s/√n), and trainings from other seeds to the settings whose lower bound
exp(m − s/√n) is below the best mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from advisor.planning.trials.trials import Trial
from advisor.planning.tuning.comparison import SeedVarianceTuning


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """The seed-to-seed variance on one task.

    Attributes:
        spread: s, above 0.
    """

    spread: float

    def error(self, trial: Trial) -> float:
        """Return s/√n of a trial; s for one that has not reached the target."""
        return self.spread / math.sqrt(1 + len(trial.replicates_s))

    def upper_bound_s(self, trial: Trial) -> float:
        """Return exp(m + s/√n), seconds; infinite for a trial short of the target."""
        return _typical_s(trial) * math.exp(self.error(trial))

    def lower_bound_s(self, trial: Trial) -> float:
        """Return exp(m − s/√n), seconds; infinite for a trial short of the target."""
        return _typical_s(trial) * math.exp(-self.error(trial))

    def contenders(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that may yet be the best, by their lower bounds."""
        sound = [trial for trial in trials if trial.is_sound]
        reached = [trial for trial in sound if trial.time_to_target_s is not None]
        best_s = min(map(_typical_s, reached), default=math.inf)
        possible = [trial for trial in reached if self.lower_bound_s(trial) <= best_s]
        return sorted(possible, key=lambda trial: (self.lower_bound_s(trial), trial.number))


def estimate_seed_variance(trials: Iterable[Trial], prior: SeedVarianceTuning) -> SeedVariance:
    """Return the variance by the trials that were trained more than once, and the prior."""
    freedom = prior.prior_weight
    squares = freedom * prior.prior_deviation**2
    for trial in trials:
        if trial.time_to_target_s is not None:
            logs = [math.log(time_s) for time_s in (trial.time_to_target_s, *trial.replicates_s)]
            mean = fmean(logs)
            squares += sum((log - mean) ** 2 for log in logs)
            freedom += len(logs) - 1
    return SeedVariance(math.sqrt(squares / freedom))


def _typical_s(trial: Trial) -> float:
    time_s = trial.typical_time_to_target_s
    return math.inf if time_s is None else time_s
