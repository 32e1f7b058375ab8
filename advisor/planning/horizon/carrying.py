"""The setting for the stated training, carried there from the best complete short training.

The rate is carried by the horizon law (``law_of_best``). The batch stays that of the best complete
training, unless

- shorter complete trainings show that the best batch grows (``batch_growth``),
- the law has a larger one cheaper by more than the 80 % interval of the difference: of those, the
  one whose interval ends lowest is taken, and
- the first steps of the stated training with it are no farther behind those with the measured
  batch, after equal time, than the law expects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from bsadvise.model.advice import Confidence, Interval
from bsadvise.model.commands import Train
from bsadvise.model.horizon import StepSchedule

from advisor.estimators.horizon_law import carried_factor
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import mean_loss_rate
from advisor.planning.evidence.split import Split
from advisor.planning.horizon.batch_growth import BatchGrowth
from advisor.planning.horizon.complete_trainings import CompleteTrainings
from advisor.planning.horizon.law_of_best import LawOfBest, upper
from advisor.planning.horizon.rungs import BY_FINAL_LOSS, CompleteRungs
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trials import Trials


class BatchCarry(StrEnum):
    """Why the batch of the best complete training was carried to a larger one, or was not."""

    MEASURED = "the stated training itself was made with it"
    CARRIED = "the best batch grew between shorter and longer complete trainings"
    NO_SMALLER = "complete trainings were too short, or batches too few, to see it grow"
    NOT_COMPARED = "there was no time to see whether it grows"
    NOT_SHOWN = "the best batch did not grow between shorter and longer complete trainings"
    UNSURE = "no larger one is better by more than the law's interval"
    NOT_BEGUN = "there was no time to run the first steps with a larger one"
    REFUTED = "the first steps with a larger one fell further behind than the law expects"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedSetting:
    """A setting for the stated training.

    Attributes:
        split: The batch.
        learning_rate: Peak η.
        steps: The schedule in its steps.
        samples: Of the stated training with it.
        carried_factor: Those over the samples of the best complete training, at least 1.
        batch_factor: Its batch over that of the best complete training.
        rate_factor: Its peak rate over that one's.
        confidence: How far to rely on it.
        speedup: Price of reaching the same loss with the reference recipe, over this setting's, and
            its 80 % interval; None where it is not known.
        batch_carry: Why the batch is what it is.
    """

    split: Split
    learning_rate: float
    steps: StepSchedule
    samples: float
    carried_factor: float
    batch_factor: float
    rate_factor: float
    confidence: Confidence
    speedup: tuple[float, Interval] | None
    batch_carry: BatchCarry

    @property
    def is_measured(self) -> bool:
        """Whether this very training was made."""
        return self.batch_carry is BatchCarry.MEASURED


@dataclass(frozen=True)
class Carrier:
    """Carries what complete trainings found to the stated one.

    Attributes:
        view: The log so far; memory has been traced.
    """

    view: LogView

    @property
    def _rungs(self) -> CompleteRungs:
        return self.view.model(CompleteRungs)

    @property
    def _law(self) -> LawOfBest:
        return self.view.model(LawOfBest)

    @property
    def _growth(self) -> BatchGrowth:
        return self.view.model(BatchGrowth)

    @cached_property
    def setting(self) -> CarriedSetting | None:
        """The setting; None where nothing was trained that a length can be read off."""
        if not self._can_carry:
            return None
        if self._rungs.best_whole is not None:
            return self._measured(self._rungs.best_whole)
        size, why = self._batch
        return self._carried(size, why)

    @property
    def _can_carry(self) -> bool:
        if self.view.step_times is None or not self.view.model(StatedTraining).is_countable:
            return False
        return self._rungs.best is not None and self.view.request.objective in BY_FINAL_LOSS

    def next_check(self) -> Train | None:
        """Return what is still to be run before a setting is carried; None once nothing is."""
        if not self._can_carry or self._rungs.is_whole:
            return None
        own, complete = self._law.best.batch_size, self.view.model(CompleteTrainings)
        if self._rungs.ends_whole:
            return self._next_final()
        found = self._growth.next_training()
        for size in (self._larger or own, own):
            setting = self._carried(size, BatchCarry.CARRIED)
            if found is None and setting is not None:
                rate, steps = setting.learning_rate, setting.steps
                found = complete.beginning(setting.split, rate, steps)
        return found if found is not None and complete.is_affordable(found) else None

    def _next_final(self) -> Train | None:
        """Return the stated training with what is carried, or as short ones found it."""
        best, complete = self._law.best, self.view.model(CompleteTrainings)
        carried = self._carried(best.batch_size, BatchCarry.CARRIED)
        rates = (
            [best.learning_rate] if carried is None else [carried.learning_rate, best.learning_rate]
        )
        finals = (complete.final(best.batch_size, rate) for rate in rates)
        return next((final for final in finals if final is not None), None)

    @property
    def _batch(self) -> tuple[int, BatchCarry]:
        """The batch, and why it is that."""
        own, growth, larger = self._law.best.batch_size, self._growth, self._larger
        if growth.smaller is None:
            return own, BatchCarry.NO_SMALLER
        if not growth.is_compared:
            return own, BatchCarry.NOT_COMPARED
        if not growth.is_shown:
            return own, BatchCarry.NOT_SHOWN
        if larger is None:
            return own, BatchCarry.UNSURE
        begun, base = self._begun(larger), self._begun(own)
        if begun is None or base is None:
            return own, BatchCarry.NOT_BEGUN
        if self._is_refuted(begun, base):
            return own, BatchCarry.REFUTED
        return larger, BatchCarry.CARRIED

    @cached_property
    def _larger(self) -> int | None:
        """The batch whose advantage over that of the best is most certain; None where none is."""
        own, law = self._law.best.batch_size, self._law
        if not self._growth.is_shown:
            return None
        prices = {own: law.price_of_best(own)}
        for size in self.view.model(BatchSizes).finely():
            if size > own:
                prices[size] = law.price_of_best(size)
        lowest = min(prices, key=lambda size: upper(prices[size] - prices[own]))
        return None if lowest == own else lowest

    def _begun(self, size: int) -> ScheduledTraining | None:
        """Return the first steps of the stated training with a batch, as it would be advised."""
        setting = self._carried(size, BatchCarry.CARRIED)
        rate = None if setting is None else setting.learning_rate
        made = self._rungs.made.beginnings
        return next((b for b in made if (b.batch_size, b.learning_rate) == (size, rate)), None)

    def _is_refuted(self, larger: ScheduledTraining, own: ScheduledTraining) -> bool:
        """Return whether a larger batch is farther behind than the law says, after equal time."""
        if larger.loss <= own.loss:
            return False
        slope = self._growth.loss_slope
        if slope is None or not math.isfinite(larger.loss):
            return True
        prices = [
            self._law.price(one.batch_size, one.learning_rate, one.samples) for one in (larger, own)
        ]
        return (larger.loss - own.loss) / slope > max(0.0, upper(prices[0] - prices[1]))

    def _measured(self, best: ScheduledTraining) -> CarriedSetting | None:
        """Return the setting of the best of the stated trainings that were made."""
        stated = self.view.model(StatedTraining)
        split = self.view.model(StepCost).split(best.batch_size)
        if split is None:
            return None
        return CarriedSetting(
            split=split,
            learning_rate=best.learning_rate,
            steps=stated.steps(best.batch_size, stated.samples(best.batch_size)),
            samples=best.samples,
            carried_factor=1.0,
            batch_factor=1.0,
            rate_factor=1.0,
            confidence=self._measured_confidence,
            speedup=self._speedup(best),
            batch_carry=BatchCarry.MEASURED,
        )

    @property
    def _measured_confidence(self) -> Confidence:
        """How far a setting is relied on by how many others it was compared with."""
        if len(self._rungs.whole) > self.view.tuning.answer.advice.min_rivals:
            return Confidence.HIGH
        return Confidence.MEDIUM if len(self._rungs.compared) > 1 else Confidence.LOW

    def _speedup(self, best: ScheduledTraining) -> tuple[float, Interval] | None:
        """Return the reference's time over that of the best, where the best ended no higher."""
        size, rate = self.view.model(BatchSizes).reference, reference_learning_rate(self.view)
        for one in self._rungs.whole:
            is_reference = math.isclose(one.learning_rate, rate, rel_tol=0.01)
            if one.batch_size == size and is_reference and best.loss < one.loss:
                ratio = one.time_s / best.time_s
                is_sooner = ratio > self.view.tuning.answer.choice.time_tie_factor
                return (ratio, Interval(low=ratio, high=ratio)) if is_sooner else None
        return None

    def _carried(self, size: int, why: BatchCarry) -> CarriedSetting | None:
        split, stated = self.view.model(StepCost).split(size), self.view.model(StatedTraining)
        if split is None:
            return None
        law, at_law = self._law, self._law.at(size)
        rate = at_law.learning_rate / mean_loss_rate(self.view, 1.0, size)
        rate = float(f"{self._safe(size, rate):.2g}")
        return CarriedSetting(
            split=split,
            learning_rate=rate,
            steps=stated.steps(size, at_law.samples),
            samples=at_law.samples,
            carried_factor=carried_factor((law.point,), at_law.samples),
            batch_factor=size / law.best.batch_size,
            rate_factor=rate / law.best.learning_rate,
            confidence=at_law.confidence,
            speedup=law.speedup(size, rate, at_law.samples),
            batch_carry=why,
        )

    def _safe(self, size: int, rate: float) -> float:
        """Return a rate that is well below those that diverged at the batch or a larger one."""
        made, margin = self._rungs.made, self.view.tuning.horizon.divergence_margin
        initial = self.view.model(Trials).initial_loss or math.inf
        broken = [one for one in made.complete if not math.isfinite(one.loss)]
        broken += [one for one in made.beginnings if not one.loss < initial]
        rates = [one.learning_rate for one in broken if one.batch_size >= size]
        return min(rate, min(rates, default=math.inf) / margin)
