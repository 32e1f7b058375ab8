"""The setting for the stated training, carried there from the best complete short training.

    symbol  meaning                                                              unit
    D, D_r  samples of the stated training, and of the best complete one         samples
    B_r     batch of the best complete training                                  samples
    B*(D)   batch of the lowest final loss by the horizon law                    samples
    c       cost of a setting by the law                                         ln data
    p       price of a sample: its seconds, or 1 where samples are what counts   s, –
    a₊      curvature of c above B*                                              –

Trainings of equal time prefer a batch above B*, since a sample of a larger one takes less time: at
the best c + ln p has no slope, so that ln(B_r/B*(D_r)) = −(d ln p/d ln B)/(2a₊). From there the law
carries B* and the rate to D (docs/horizon.md), and the setting of least expected c + ln p is
advised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bsadvise.model.advice import Interval
from bsadvise.model.commands import Train
from bsadvise.model.horizon import StepSchedule
from bsadvise.model.measurements import LogEstimate
from bsadvise.model.request import Objective
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.horizon_advice import HorizonCandidate, HorizonSetting, advise_for_horizon
from advisor.estimators.horizon_fit import HorizonGuess, fit_horizon_law
from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint, carried_factor
from advisor.estimators.quantiles import Z_80
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import mean_loss_rate
from advisor.planning.evidence.split import Split
from advisor.planning.horizon.complete_trainings import CompleteTrainings
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining, ScheduledTrainings
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trials import Trials

_BY_LAW = (Objective.TIME, Objective.COST, Objective.ENERGY, Objective.SAMPLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedSetting:
    """A setting for the stated training.

    Attributes:
        split: The batch.
        learning_rate: Peak η.
        steps: The schedule in its steps.
        at_law: What the law says of it; rates are of the mean over the batch.
        speedup: Price of reaching the same loss with the reference recipe, over this setting's, and
            its 80 % interval; None where the recipe is so far off that the law does not say.
        is_measured: Whether this very training was made.
    """

    split: Split
    learning_rate: float
    steps: StepSchedule
    at_law: HorizonSetting
    speedup: tuple[float, Interval] | None
    is_measured: bool


@dataclass(frozen=True)
class Carrier:
    """Carries what complete trainings found to the stated one.

    Attributes:
        view: The log so far; memory has been traced.
    """

    view: LogView

    @property
    def _made(self) -> ScheduledTrainings:
        return self.view.model(ScheduledTrainings)

    @cached_property
    def _best(self) -> ScheduledTraining:
        """What is carried. Raises LookupError where nothing was trained to its end."""
        if self._made.best is None:
            raise LookupError("no complete training has a loss")
        return self._made.best

    @cached_property
    def setting(self) -> CarriedSetting | None:
        """The setting; None where nothing was trained that a length can be read off."""
        if self.view.step_times is None or not self.view.model(StatedTraining).is_countable:
            return None
        if self._made.best is None or self.view.request.objective not in _BY_LAW:
            return None
        settings = {size: self._at(size) for size in self._sizes()}
        size = min(settings, key=lambda one: settings[one].expected_cost + self._log_price(one))
        split = self.view.model(StepCost).split(size)
        return None if split is None else self._carried(split, settings[size])

    def next_beginning(self) -> Train | None:
        """Return the first steps of the training that would be advised; None once they were run."""
        setting = self.setting
        if setting is None or setting.is_measured:
            return None
        return self.view.model(CompleteTrainings).next_beginning(
            setting.split, setting.learning_rate, setting.steps
        )

    def _sizes(self) -> tuple[int, ...]:
        """Return the batches to choose from: that of the best alone where nothing is carried."""
        if self._is_measured:
            return (self._best.batch_size,)
        return tuple({self._best.batch_size, *self.view.model(BatchSizes).finely()})

    @property
    def _is_measured(self) -> bool:
        """Whether the stated training is no longer than the best complete one."""
        samples = self.view.model(StatedTraining).samples(self._best.batch_size)
        return carried_factor((self._point,), samples) <= 1

    @cached_property
    def _point(self) -> HorizonPoint:
        """The best complete training, as the law knows it."""
        best = self._best
        return HorizonPoint(
            batch_size=best.batch_size,
            learning_rate=mean_loss_rate(self.view, best.learning_rate, best.batch_size),
            samples=best.samples,
            loss=best.loss,
            schedule=self.view.model(StatedTraining).shape,
        )

    @cached_property
    def law(self) -> HorizonLaw:
        """The law through the best complete training; rates of the mean over the batch."""
        view, tuning, best = self.view, self.view.tuning.horizon, self._point
        priors = view.tuning.estimators.horizon
        is_adaptive = view.profile.optimizer.family is not OptimizerFamily.SGD
        family = priors.adaptive if is_adaptive else priors.sgd
        curvature = math.exp(priors.log_large_batch_curvature.mean)
        above = -self._price_slope(self._best.batch_size) / (2 * curvature)
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
        return fit_horizon_law((), guess, tuning=priors)

    def _price_slope(self, size: int) -> float:
        """Return d ln p/d ln B at a batch, from half of it to twice, where those can be run."""
        below, above = max(1, size // 2), size * 2
        cost = self.view.model(StepCost)
        low = below if cost.split(below) is not None else size
        high = above if cost.split(above) is not None else size
        if low == high:
            return 0.0
        return (self._log_price(high) - self._log_price(low)) / math.log(high / low)

    def _log_price(self, size: int) -> float:
        """Return ln p, but for a constant."""
        if self.view.request.objective is Objective.SAMPLES:
            return 0.0
        return math.log(self.view.model(StatedTraining).sample_time_s(size))

    def _at(self, size: int) -> HorizonSetting:
        samples = self.view.model(StatedTraining).samples(size)
        candidate = HorizonCandidate(batch_size=size, samples=samples)
        tuning = self.view.tuning.estimators.horizon
        return advise_for_horizon(self.law, (self._point,), [candidate], tuning=tuning)

    def _carried(self, split: Split, setting: HorizonSetting) -> CarriedSetting:
        size, samples = split.effective_batch_size, setting.samples
        is_measured = self._is_measured
        rate = setting.learning_rate / mean_loss_rate(self.view, 1.0, size)
        rate = self._best.learning_rate if is_measured else float(f"{self._safe(size, rate):.2g}")
        return CarriedSetting(
            split=split,
            learning_rate=rate,
            steps=self.view.model(StatedTraining).steps(size, samples),
            at_law=setting,
            speedup=self._speedup(size, rate, samples),
            is_measured=is_measured,
        )

    def _safe(self, size: int, rate: float) -> float:
        """Return a rate that is well below those that diverged at the batch or a larger one."""
        made, margin = self._made, self.view.tuning.horizon.divergence_margin
        initial = self.view.model(Trials).initial_loss or math.inf
        broken = [one for one in made.complete if not math.isfinite(one.loss)]
        broken += [one for one in made.beginnings if not one.loss < initial]
        rates = [one.learning_rate for one in broken if one.batch_size >= size]
        return min(rate, min(rates, default=math.inf) / margin)

    def _speedup(self, size: int, rate: float, samples: float) -> tuple[float, Interval] | None:
        """Return the reference's price of a loss over this one's; None where the law ends."""
        reference = self.view.model(BatchSizes).reference
        own = mean_loss_rate(self.view, rate, size)
        theirs = mean_loss_rate(self.view, reference_learning_rate(self.view), reference)
        costs = self.law.cost(reference, theirs, samples) - self.law.cost(size, own, samples)
        mean, half = float(np.mean(costs)), Z_80 * float(np.std(costs))
        if mean > self.view.tuning.estimators.horizon.broken_cost:
            return None
        middle = mean + self._log_price(reference) - self._log_price(size)
        interval = Interval(low=math.exp(middle - half), high=math.exp(middle + half))
        return math.exp(middle), interval
