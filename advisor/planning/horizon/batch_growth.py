"""Whether the best batch grew with the length of complete trainings, as the law says it does.

    symbol    meaning                                                               unit
    T_r, T_s  modelled seconds of the trainings that compare, and of shorter ones   s
    B_r       batch of the best of T_r                                              samples
    B_s       the smaller batch that the law has for the best of T_s, B_r/(T_r/T_s)^p  samples
    s         fall of the best final loss as ln of the length rises by 1            loss

Two lengths of few trainings mislead about an exponent (docs/horizon.md), but they can contradict
one: where the batch grows by the law, B_s ends higher than B_r after T_r and lower after T_s. Only
where both is seen is a batch carried to a longer training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train

from advisor.planning.evidence.log_view import LogView
from advisor.planning.horizon.complete_trainings import CompleteTrainings
from advisor.planning.horizon.law_of_best import LawOfBest
from advisor.planning.horizon.rungs import CompleteRungs, is_same_time
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining


@dataclass(frozen=True)
class BatchGrowth:
    """What shorter trainings say of the growth of the best batch.

    Attributes:
        view: The log so far; at least one complete training has a loss.
    """

    view: LogView

    @property
    def _rungs(self) -> CompleteRungs:
        return self.view.model(CompleteRungs)

    @property
    def _best(self) -> ScheduledTraining:
        return self.view.model(LawOfBest).best

    @cached_property
    def smaller(self) -> int | None:
        """B_s; None where the trainings are too short to tell, or there is no such batch."""
        shorter_s, best = self._shorter_s, self._best
        if not shorter_s:
            return None
        exponent = self.view.tuning.estimators.horizon.batch_exponent.mean
        wanted = best.batch_size * (shorter_s / self._rungs.length_s) ** exponent
        size = self.view.model(CompleteTrainings).nearest_size(wanted)
        return size if size * math.sqrt(2) <= best.batch_size else None

    @cached_property
    def is_shown(self) -> bool:
        """Whether B_r is better after T_r, and B_s after T_s."""
        short = self._shorter
        pair = short.get(self._best.batch_size), short.get(self.smaller or 0)
        if not self.is_compared or pair[0] is None or pair[1] is None:
            return False
        return pair[1] < pair[0] < math.inf

    @cached_property
    def loss_slope(self) -> float | None:
        """S; None where shorter trainings were not made, or ended no higher."""
        lowest = min(self._shorter.values(), default=math.inf)
        if not self._best.loss < lowest < math.inf:
            return None
        return (lowest - self._best.loss) / math.log(self._rungs.length_s / self._shorter_s)

    @cached_property
    def _shorter_s(self) -> float:
        return self._rungs.shorter_s(self._best.batch_size)

    @cached_property
    def _shorter(self) -> dict[int, float]:
        """The lowest loss after T_s by batch."""
        losses: dict[int, float] = {}
        for one in self._rungs.shorter(self._shorter_s):
            losses[one.batch_size] = min(one.loss, losses.get(one.batch_size, math.inf))
        return losses

    @cached_property
    def is_compared(self) -> bool:
        """Whether a batch about as small as B_s was trained for T_r at about its best rate."""
        smaller, law = self.smaller, self.view.model(LawOfBest)
        return smaller is not None and any(
            one.batch_size <= math.sqrt(2) * smaller
            and abs(math.log(one.learning_rate / law.rate(one.batch_size, one.samples)))
            <= math.log(self.view.tuning.horizon.factors[0])
            for one in self._rungs.compared
        )

    def next_training(self) -> Train | None:
        """Return what is still to be trained; None where that is nothing, or there is no time."""
        smaller, rungs = self.smaller, self._rungs
        if smaller is None:
            return None
        if not self.is_compared:
            return self._affordable(smaller, rungs.length_s)
        for size in (self._best.batch_size, smaller):
            begun = (c for c in rungs.made.begun if c.effective_batch_size == size)
            if not any(is_same_time(rungs.made.time_s(c), self._shorter_s) for c in begun):
                return self._affordable(size, self._shorter_s)
        return None

    def _affordable(self, size: int, length_s: float) -> Train | None:
        samples = length_s / self._rungs.stated.sample_time_s(size)
        complete = self.view.model(CompleteTrainings)
        rate = self.view.model(LawOfBest).rate(size, samples)
        found = complete.training(size, rate, samples)
        # The first steps of the stated training are what must follow.
        kept_s = self._rungs.length_s
        return found if found and complete.is_affordable(found, checks_s=kept_s) else None
