"""The horizon law by the complete trainings, about the best, and what a setting costs by it.

    symbol  meaning                                                              unit
    D, D_r  samples of the stated training, and of the best complete one         samples
    B_r     batch of the best complete training                                  samples
    B*(D)   batch of the lowest final loss by the horizon law                    samples
    c       cost of a setting by the law                                         ln data
    p       price of a sample: its seconds, or 1 where samples are what counts   s, –
    a₊      curvature of c above B*                                              –

Trainings of equal time prefer a batch above B*, since a sample of a larger one takes less time: at
the best c + ln p has no slope, so that ln(B_r/B*(D_r)) = −(d ln p/d ln B)/(2a₊). From there the law
has B* and the best rate at D (docs/horizon.md). All of them, shorter ones as well, move the law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bsadvise.model.advice import Interval
from bsadvise.model.measurements import LogEstimate
from bsadvise.model.request import Objective
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.horizon_advice import HorizonCandidate, HorizonSetting, advise_for_horizon
from advisor.estimators.horizon_fit import HorizonGuess, fit_horizon_law
from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint
from advisor.estimators.quantiles import Z_80
from advisor.estimators.scaling_law import Array
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import mean_loss_rate
from advisor.planning.horizon.rungs import CompleteRungs
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.stated_training import StatedTraining


@dataclass(frozen=True)
class LawOfBest:
    """The law about the best complete training.

    Attributes:
        view: The log so far; a complete training has a loss, else LookupError is raised.
    """

    view: LogView

    @cached_property
    def best(self) -> ScheduledTraining:
        """What is carried."""
        best = self.view.model(CompleteRungs).best
        if best is None:
            raise LookupError("no complete training has a loss")
        return best

    @cached_property
    def point(self) -> HorizonPoint:
        """The best complete training, as the law knows it."""
        return self._as_point(self.best, self.view.model(CompleteRungs).length_s)

    def _as_point(self, one: ScheduledTraining, time_s: float) -> HorizonPoint:
        return HorizonPoint(
            batch_size=one.batch_size,
            learning_rate=mean_loss_rate(self.view, one.learning_rate, one.batch_size),
            samples=one.samples,
            loss=one.loss,
            schedule=self.view.model(StatedTraining).shape,
            time_s=time_s,
        )

    @cached_property
    def law(self) -> HorizonLaw:
        """The law after the complete trainings; rates of the mean over the batch."""
        view, tuning, best = self.view, self.view.tuning.horizon, self.point
        priors = view.tuning.estimators.horizon
        is_adaptive = view.profile.optimizer.family is not OptimizerFamily.SGD
        family = priors.adaptive if is_adaptive else priors.sgd
        curvature = math.exp(priors.log_large_batch_curvature.mean)
        above = -self._price_slope(self.best.batch_size) / (2 * curvature)
        above = min(max(above, 0.0), tuning.most_knee_shift)
        # The law's rate is that of the batch of lowest loss, and follows the batch up to the knee.
        followed = family.slope.mean * max(min(above, family.log_knee.mean), 0.0)
        guess = HorizonGuess(
            samples=best.samples,
            batch_size=LogEstimate(
                median=best.batch_size * math.exp(-above),
                log_deviation=tuning.batch_log_deviation,
            ),
            learning_rate=LogEstimate(
                median=best.learning_rate * math.exp(-followed),
                log_deviation=tuning.rate_log_deviation,
            ),
            schedule=best.schedule,
            is_adaptive=is_adaptive,
        )
        return fit_horizon_law(self._points, guess, tuning=priors)

    @property
    def _points(self) -> tuple[HorizonPoint, ...]:
        """The complete trainings, of which those of one length compare after equal time."""
        rungs = self.view.model(CompleteRungs)
        shorter_s = rungs.shorter_s(self.best.batch_size)
        lengths = ((rungs.compared, rungs.length_s), (rungs.shorter(shorter_s), shorter_s))
        return tuple(self._as_point(one, time_s) for made, time_s in lengths for one in made)

    def _price_slope(self, size: int) -> float:
        """Return d ln p/d ln B at a batch, from half of it to twice, where those can be run."""
        below, above = max(1, size // 2), size * 2
        cost = self.view.model(StepCost)
        low = below if cost.split(below) is not None else size
        high = above if cost.split(above) is not None else size
        if low == high:
            return 0.0
        return (self.log_price(high) - self.log_price(low)) / math.log(high / low)

    def log_price(self, size: int) -> float:
        """Return ln p, but for a constant."""
        if self.view.request.objective is Objective.SAMPLES:
            return 0.0
        return math.log(self.view.model(StatedTraining).sample_time_s(size))

    def at(self, size: int) -> HorizonSetting:
        """Return what the law says of the stated training with a batch."""
        samples = self.view.model(StatedTraining).samples(size)
        candidate = HorizonCandidate(batch_size=size, samples=samples)
        tuning = self.view.tuning.estimators.horizon
        return advise_for_horizon(self.law, (self.point,), [candidate], tuning=tuning)

    def price_of_best(self, size: int) -> Array:
        """Return c + ln p of the stated training with a batch and its best rate, shape (laws,)."""
        at_law = self.at(size)
        costs = self.law.cost(size, at_law.learning_rate, at_law.samples)
        return costs + self.log_price(size)

    def price(self, size: int, rate: float, samples: float) -> Array:
        """Return c + ln p by each law, shape (laws,), but for a constant.

        Args:
            size: B.
            rate: η, of the user's own loss.
            samples: Of the training.
        """
        costs = self.law.cost(size, mean_loss_rate(self.view, rate, size), samples)
        return costs + self.log_price(size)

    def rate(self, size: int, samples: float) -> float:
        """Return the best peak rate with a batch, of the user's own loss."""
        best = math.exp(float(self.law.log_best_rate(size, samples).mean()))
        return best / mean_loss_rate(self.view, 1.0, size)

    def speedup(self, size: int, rate: float, samples: float) -> tuple[float, Interval] | None:
        """Return the reference's price of a loss over this one's; None where the law ends."""
        reference = self.view.model(BatchSizes).reference
        theirs = self.price(reference, reference_learning_rate(self.view), samples)
        gains = theirs - self.price(size, rate, samples)
        costs = gains - self.log_price(reference) + self.log_price(size)
        if float(np.mean(costs)) > self.view.tuning.estimators.horizon.broken_cost:
            return None
        middle, half = float(np.mean(gains)), Z_80 * float(np.std(gains))
        interval = Interval(low=math.exp(middle - half), high=math.exp(middle + half))
        return math.exp(middle), interval


def upper(values: Array) -> float:
    """Return the upper end of the 80 % interval of what laws say, shape (laws,).

    By deviations above the median alone: laws lie up to √n deviations out (``horizon_fit``), and
    one whose curvature is far above the others' would widen both sides of what is a gain by all.
    """
    middle = float(np.median(values))
    above = np.maximum(values - middle, 0.0)
    return middle + Z_80 * math.sqrt(2 * float(np.mean(above**2)))
