"""How far luck goes: what a few trainings of a setting say of the next one.

    s      standard deviation of the logarithm of one training's seconds to the target
    n      how often a setting was trained
    m      mean logarithm of its seconds

s is taken to be the same for all settings of a task, and pooled over those that were trained more
than once. The mean of n trainings is then off by about s/√n. A setting that was trained once and
arrived soon is as likely lucky as good: of many such, the soonest surely was. So answers go by
exp(m + s/√n), and trainings from other weights to whatever exp(m − s/√n) says may yet be the best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from advisor.planning.trials.trials import Trial

_SPREAD = 0.2
_SPREAD_WEIGHT = 2
"""s before anything was trained again, and how many trainings that is worth. Near the best settings
of the benchmark's recordings it is 0.12 to 0.2, over three seeds each."""


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """What is known of luck on one task.

    Attributes:
        spread: s, above 0.
    """

    spread: float

    def error(self, trial: Trial) -> float:
        """Return s/√n of a trial; s for one that has not arrived."""
        return self.spread / math.sqrt(1 + len(trial.replicates_s))

    def cautious_s(self, trial: Trial) -> float:
        """Return exp(m + s/√n), seconds; infinite for a trial that has not arrived."""
        return _typical_s(trial) * math.exp(self.error(trial))

    def hopeful_s(self, trial: Trial) -> float:
        """Return exp(m − s/√n), seconds; infinite for a trial that has not arrived."""
        return _typical_s(trial) * math.exp(-self.error(trial))

    def contenders(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that may yet be the best, the most hopeful first."""
        arrived = [trial for trial in trials if trial.is_sound and trial.arrival_s is not None]
        best_s = min(map(_typical_s, arrived), default=math.inf)
        hopeful = [trial for trial in arrived if self.hopeful_s(trial) <= best_s]
        return sorted(hopeful, key=lambda trial: (self.hopeful_s(trial), trial.number))


def luck_of(trials: Iterable[Trial]) -> SeedVariance:
    """Return what the trials that were trained more than once say of luck."""
    squares, freedom = _SPREAD_WEIGHT * _SPREAD**2, float(_SPREAD_WEIGHT)
    for trial in trials:
        if trial.arrival_s is not None:
            logs = [math.log(time_s) for time_s in (trial.arrival_s, *trial.replicates_s)]
            mean = fmean(logs)
            squares += sum((log - mean) ** 2 for log in logs)
            freedom += len(logs) - 1
    return SeedVariance(math.sqrt(squares / freedom))


def _typical_s(trial: Trial) -> float:
    time_s = trial.typical_arrival_s
    return math.inf if time_s is None else time_s
