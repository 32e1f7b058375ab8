"""How long complete trainings are, which of them compare, and which is the best.

    symbol  meaning                                                                unit
    T       modelled seconds of the stated training with the reference's batch     s
    T_r     modelled seconds of the complete trainings that settings compare by    s
    T_s     modelled seconds of shorter ones, which show how the best batch grows  s

Where the budget pays for the stated training often enough, each setting is trained for just that:
nothing is carried. Where it pays for a few, short ones find what those are made with. Else T_r is a
small share of T, and what it finds is carried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train
from bsadvise.model.request import Objective

from advisor.planning.evidence.log_view import LogView
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining, ScheduledTrainings
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trials import Trials
from advisor.planning.trials.wall_clock import WallClock
from advisor.planning.tuning.horizon import CompleteTrainingTuning

BY_FINAL_LOSS = (Objective.TIME, Objective.COST, Objective.ENERGY, Objective.SAMPLES)
"""The objectives for which complete trainings are compared by their final losses."""

_SAME_TIME = 0.1
"""Share by which modelled times of one length differ, since steps are whole."""


@dataclass(frozen=True)
class CompleteRungs:
    """The lengths of the complete trainings of a log.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def made(self) -> ScheduledTrainings:
        """All that were trained on a schedule."""
        return self.view.model(ScheduledTrainings)

    @cached_property
    def stated(self) -> StatedTraining:
        """The training that they stand for."""
        return self.view.model(StatedTraining)

    @property
    def _tuning(self) -> CompleteTrainingTuning:
        return self.view.tuning.horizon

    @cached_property
    def own_s(self) -> float:
        """T; 0 where the length is not countable."""
        return self.stated.reference_s or 0.0

    @cached_property
    def is_whole(self) -> bool:
        """Whether each complete training is the stated one itself, with another setting."""
        tuning = self._tuning
        return self._fits(tuning.min_trainings) or (
            self._fits(tuning.few_trainings) and not self._short_s
        )

    @cached_property
    def ends_whole(self) -> bool:
        """Whether the stated training is made with what short ones found."""
        return self._fits(self._tuning.few_trainings) and not self.is_whole

    def _fits(self, count: int) -> bool:
        """Return whether the stated training can be made so often."""
        return 0 < count * self.own_s * self._slowdown <= self._left_s

    @cached_property
    def allowance_s(self) -> float:
        """Seconds for all that settings compare by; settled before the first of them."""
        return self._left_s if self.is_whole else self._short_allowance_s

    @property
    def _short_allowance_s(self) -> float:
        if self._fits(self._tuning.few_trainings):
            return self._left_s - self._tuning.final_trainings * self.own_s * self._slowdown
        return min(self._left_s, self.share_s)

    @property
    def share_s(self) -> float:
        """The most seconds for all of them that a stated training is worth, whatever the budget."""
        return max(self._tuning.max_cost_share * self.own_s, self._tuning.min_total_s)

    @property
    def whole_budget_s(self) -> float:
        """The budget from which on the stated training itself is made several times."""
        return self._budget_s(self._tuning.few_trainings * self.own_s)

    @property
    def least_budget_s(self) -> float:
        """The budget from which on any complete training is made."""
        few_s = self._tuning.few_trainings * self.least_s
        if few_s * self._slowdown > self.share_s:
            return self.whole_budget_s
        return min(self._budget_s(few_s), self.whole_budget_s)

    def _budget_s(self, modelled_s: float) -> float:
        """Return the budget that leaves so many modelled seconds for complete trainings."""
        missing_s = modelled_s * self._slowdown - self._left_s
        reserve_share = self.view.tuning.evidence.seconds.verification_share
        return self.view.request.budget_s + missing_s / (1 - reserve_share)

    @property
    def length_s(self) -> float:
        """T_r, or T; 0 where none that is long enough can be paid for often enough."""
        return self.own_s if self.is_whole else self._short_s

    @cached_property
    def _short_s(self) -> float:
        tuning, allowance_s = self._tuning, self._short_allowance_s
        checks = 0 if self._fits(tuning.few_trainings) else tuning.checks
        length_s = allowance_s / self._slowdown / (tuning.min_trainings + checks)
        if length_s < self.least_s:
            # Fewer than asked for say something as long as there are a few of them.
            few_s = tuning.few_trainings * self.least_s * self._slowdown
            length_s = self.least_s if few_s <= allowance_s else 0.0
        return length_s if length_s < self.own_s else 0.0

    def shorter_s(self, size: int) -> float:
        """Return T_s where a batch is the best; 0 where T_r is too short for another beside it."""
        tuning = self._tuning
        least_s = tuning.min_steps * size * self.stated.sample_time_s(size)
        shorter_s = max(self.length_s / tuning.ladder_factor, least_s)
        is_apart = shorter_s * tuning.min_ladder_factor <= self.length_s
        return shorter_s if is_apart and not self.is_whole else 0.0

    @cached_property
    def least_s(self) -> float:
        """The least T_r with enough steps of decay at the reference's batch."""
        tuning, size = self._tuning, self.view.model(BatchSizes).reference
        whole = self.stated.steps(size, self.stated.samples(size))
        share = whole.decay_steps / whole.total_steps or 1.0
        steps = max(tuning.min_decay_steps / share, tuning.min_steps)
        return steps * size * self.stated.sample_time_s(size)

    @property
    def _left_s(self) -> float:
        """Seconds of the budget that were left before the first of them, at least 0."""
        before_s = 0.0
        for entry in self.view.log:
            if isinstance(entry.command, Train) and entry.command.schedule is not None:
                break
            before_s += entry.wall_s
        reserve_s = self.view.model(RungSchedule).reserve_s
        return max(0.0, self.view.request.budget_s - before_s - reserve_s)

    @property
    def _slowdown(self) -> float:
        return max(1.0, self.view.model(WallClock).slowdown_of_long)

    def samples(self, batch_size: int) -> float:
        """Return the samples of a training with a batch: all that are stated, or those of T_r."""
        if self.is_whole:
            return self.stated.samples(batch_size)
        return self.length_s / self.stated.sample_time_s(batch_size)

    def is_compared(self, command: Train) -> bool:
        """Return whether a complete training is of the length that settings compare by."""
        samples = float(command.step_count * command.effective_batch_size)
        size = command.effective_batch_size
        return self._is_compared(size, samples, self.made.time_s(command))

    def is_stated(self, batch_size: int, samples: float) -> bool:
        """Return whether a training with a batch is as long as the stated one."""
        return abs(samples - self.stated.samples(batch_size)) <= batch_size

    def _is_compared(self, batch_size: int, samples: float, time_s: float) -> bool:
        if self.is_whole or self.is_stated(batch_size, samples):
            return self.is_whole
        return time_s > self.length_s / math.sqrt(self._tuning.min_ladder_factor)

    @cached_property
    def compared(self) -> tuple[ScheduledTraining, ...]:
        """The complete ones by whose final losses settings compare."""
        return tuple(
            one
            for one in self.made.complete
            if self._is_compared(one.batch_size, one.samples, one.time_s)
        )

    def shorter(self, time_s: float) -> tuple[ScheduledTraining, ...]:
        """Return the complete ones of a T_s, which is another one beside another best."""
        return tuple(
            one
            for one in self.made.complete
            if one not in self.compared and is_same_time(one.time_s, time_s)
        )

    @cached_property
    def whole(self) -> tuple[ScheduledTraining, ...]:
        """The complete ones that are as long as the stated one."""
        return tuple(
            one for one in self.made.complete if self.is_stated(one.batch_size, one.samples)
        )

    @cached_property
    def best(self) -> ScheduledTraining | None:
        """The best of those that compare; None where none has a finite loss."""
        return self.best_whole if self.is_whole else _lowest(self.compared)

    @cached_property
    def best_whole(self) -> ScheduledTraining | None:
        """Of those as long as the stated one, that of least time among those that end about as low.

        None where none has a finite loss.
        """
        lowest = _lowest(self.whole)
        if lowest is None or not self.weighs_time:
            return lowest
        most = lowest.loss + self._margin(lowest.loss)
        quickest = min((one for one in self.whole if one.loss <= most), key=lambda one: one.time_s)
        tie = self.view.tuning.answer.choice.time_tie_factor
        return quickest if quickest.time_s * tie < lowest.time_s else lowest

    @property
    def weighs_time(self) -> bool:
        """Whether the objective counts time, and not samples."""
        return self.view.request.objective is not Objective.SAMPLES

    def _margin(self, loss: float) -> float:
        """Return by how much a loss may be above another and be as good, as trials compare."""
        initial, tuning = self.view.model(Trials).initial_loss, self.view.tuning.answer.choice
        fall = 0.0 if initial is None else max(initial - loss, 0.0)
        margin = max(tuning.loss_margin * abs(loss), tuning.min_progress_margin * fall)
        return min(margin, tuning.max_progress_margin * fall)


def is_same_time(one_s: float, other_s: float) -> bool:
    """Return whether modelled times are of one length but for the rounding of steps."""
    return abs(one_s - other_s) < _SAME_TIME * other_s


def _lowest(trainings: Iterable[ScheduledTraining]) -> ScheduledTraining | None:
    """Return the one of lowest final loss; None where none has a finite one."""
    finite = (one for one in trainings if math.isfinite(one.loss))
    return min(finite, key=lambda one: one.loss, default=None)
