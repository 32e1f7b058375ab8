"""Complete short trainings, each with its own warm-up and decay, of one length in time.

    symbol  meaning                                           unit
    T_r     modelled seconds of every complete training       s
    τ(B)    modelled seconds a sample of a batch              s

A trial that is cut short, at a constant rate or in the middle of a decay, prefers other rates and
batches than a training that ends (docs/horizon.md). Trials at a constant rate are cheap and find
where to look; then complete trainings of T_r compare by their final loss. They begin with the best
trial, its rate multiplied by what the schedule changes by the convex bound, and the reference
recipe; each further one is a neighbour of the best so far: another rate first, then another batch
with the rate that the rule gives it (coordinate search; Kolda, Lewis & Torczon, SIAM Review 45,
2003).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.horizon import StepSchedule

from advisor.estimators.horizon_schedule import CONSTANT, peak_rate_factor
from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.evidence.semantics import is_loss_sum, scaled_rate
from advisor.planning.evidence.split import Split
from advisor.planning.horizon.scheduled_trainings import (
    ScheduledTraining,
    ScheduledTrainings,
    is_complete,
)
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.wall_clock import WallClock
from advisor.planning.tuning.horizon import CompleteTrainingTuning


@dataclass(frozen=True)
class CompleteTrainings:
    """The complete trainings that a log still lacks.

    Attributes:
        view: The log so far, with timed steps.
    """

    view: LogView

    @cached_property
    def made(self) -> ScheduledTrainings:
        """Those so far."""
        return self.view.model(ScheduledTrainings)

    @cached_property
    def stated(self) -> StatedTraining:
        """The training that they stand for."""
        return self.view.model(StatedTraining)

    @property
    def _tuning(self) -> CompleteTrainingTuning:
        return self.view.tuning.horizon

    @property
    def is_asked(self) -> bool:
        """Whether a length was stated, and trainings can be made that speak of it."""
        can_train = self.view.step_times is not None and self.view.model(TrialSearch).can_train
        return can_train and self.stated.reference_s is not None and self.length_s > 0

    def next_training(self) -> Train | None:
        """Return the next complete training; None when there is no time for another."""
        if self.view.request.max_trials == 0 or len(self.made.begun) >= self._most:
            return None
        for size, rate in self._settings():
            found = self._training(size, rate)
            if found is not None and self._is_affordable(found):
                return found
        return None

    @property
    def _most(self) -> int:
        asked = self.view.request.max_trials
        return min(self._tuning.max_trainings, asked or self._tuning.max_trainings)

    @cached_property
    def length_s(self) -> float:
        """T_r; 0 where none that is long enough can be paid for often enough."""
        tuning, own_s = self._tuning, self.stated.reference_s or 0.0
        least_s = self._least_s()
        length_s = self.allowance_s / tuning.min_trainings
        if length_s < least_s:
            # Fewer than asked for say something as long as there are a few of them.
            length_s = least_s if tuning.few_trainings * least_s <= self.allowance_s else 0.0
        return min(length_s, own_s)

    @cached_property
    def allowance_s(self) -> float:
        """Seconds for all of them; settled by what was measured before the first."""
        before_s = 0.0
        for entry in self.view.log:
            if isinstance(entry.command, Train) and entry.command.schedule is not None:
                break
            before_s += entry.wall_s
        tuning, own_s = self._tuning, self.stated.reference_s or 0.0
        left_s = self.view.request.budget_s - before_s - self.view.model(RungSchedule).reserve_s
        share_s = max(tuning.max_cost_share * own_s, tuning.min_total_s)
        return max(0.0, min(left_s, share_s))

    def _least_s(self) -> float:
        """Return the least T_r with enough steps of decay at the reference's batch."""
        tuning, size = self._tuning, self._reference
        whole = self.stated.steps(size, self.stated.samples(size))
        share = whole.decay_steps / whole.total_steps or 1.0
        steps = max(tuning.min_decay_steps / share, tuning.min_steps)
        return steps * size * self.stated.sample_time_s(size)

    @cached_property
    def _reference(self) -> int:
        return self.view.model(BatchSizes).reference

    def _settings(self) -> Iterator[tuple[int, float]]:
        """Yield what is worth training next, the first that is possible first."""
        for start in (self._start, (self._reference, reference_learning_rate(self.view))):
            if not self._is_tried(*start, factor=1.01):
                yield start
        best = self.made.best
        if best is None:
            if not self.made.begun:
                return  # Neither start can be paid for.
            lowest = min(command.learning_rate for command in self.made.begun)
            yield self._reference, lowest / self._tuning.fallback_divisor
            return
        for factor in self._tuning.factors:
            for size, rate in self._neighbours(best, factor):
                # Half a step: what is nearer was tried.
                if not self._is_tried(size, rate, factor=math.sqrt(factor)):
                    yield size, rate

    @cached_property
    def _start(self) -> tuple[int, float]:
        """The best trial at a constant rate, with the rate that suits the schedule."""
        best = self.view.model(TrialSearch).ranking.best
        size, rate = self._reference, reference_learning_rate(self.view)
        rate = suggested_rate(self.view) or rate
        if best is not None:
            size, rate = best.split.effective_batch_size, best.learning_rate
        return size, rate * peak_rate_factor(self.stated.shape, CONSTANT)

    def _neighbours(self, best: ScheduledTraining, factor: float) -> Iterator[tuple[int, float]]:
        size, rate = best.batch_size, best.learning_rate
        yield size, rate * factor
        yield size, rate / factor
        for other in self._neighbouring_sizes(size, factor):
            rule = scaled_rate(self.view, 1.0, other) / scaled_rate(self.view, 1.0, size)
            yield other, rate * rule

    def _neighbouring_sizes(self, size: int, factor: float) -> Iterator[int]:
        """Yield the batch sizes about a factor above and below that have enough steps."""
        sizes = self.sizes
        for wanted in (size * factor, size / factor):
            nearest = min(sizes, key=lambda one: abs(math.log(one / wanted)))
            if nearest != size:
                yield nearest

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes of which T_r has enough steps, rising."""
        least, cost = self._tuning.min_steps, self.view.model(BatchSizes)
        sizes = [size for size in cost.finely() if least * cost.step_time_s(size) <= self.length_s]
        return tuple(sorted({*sizes, self._reference}))

    def _is_tried(self, size: int, rate: float, *, factor: float) -> bool:
        """Return whether a training was begun within a factor in batch and in rate."""
        return any(
            max(c.effective_batch_size / size, size / c.effective_batch_size) < factor
            and max(c.learning_rate / rate, rate / c.learning_rate) < factor
            for c in self.made.begun
        )

    def _is_affordable(self, command: Train) -> bool:
        spent_s = sum(e.wall_s for c, e in self.view.entries(Train) if c.schedule is not None)
        expected_s = self.view.model(WallClock).expected_s(command)
        # As much again is kept for the beginning of the stated training.
        kept_s = expected_s if is_complete(command) else 0.0
        return expected_s + kept_s <= min(self.allowance_s - spent_s, self._left_s)

    @property
    def _left_s(self) -> float:
        return self.view.remaining_s - self.view.model(RungSchedule).reserve_s

    def next_beginning(self, split: Split, rate: float, steps: StepSchedule) -> Train | None:
        """Return the first steps of the stated training with a setting, for about T_r.

        A short training may survive a peak rate at which a long one diverges, since it soon
        decays. None where those steps were run, or there is no time for them.

        Args:
            split: The batch.
            rate: Peak η.
            steps: The schedule of the stated training.
        """
        size = split.effective_batch_size
        step_time_s = self.view.model(StepCost).step_time_s(split)
        count = min(round(self.length_s / step_time_s), steps.total_steps - 1)
        is_run = any((b.batch_size, b.learning_rate) == (size, rate) for b in self.made.beginnings)
        if count < 1 or is_run or len(self.made.beginnings) >= self._tuning.max_beginnings:
            return None
        command = self._train(split, rate, steps, count)
        return command if self._is_affordable(command) else None

    def _training(self, size: int, rate: float) -> Train | None:
        """Return a complete training; None where the batch cannot be run."""
        cost = self.view.model(StepCost)
        split = cost.split(size)
        if split is None:
            return None
        steps = self.stated.steps(size, self.length_s / cost.step_time_s(split) * size)
        return self._train(split, float(f"{rate:.3g}"), steps, steps.total_steps)

    def _train(self, split: Split, rate: float, steps: StepSchedule, count: int) -> Train:
        schedule = self.view.model(RungSchedule)
        return Train(
            micro_batch_size=split.micro_batch_size,
            accumulation_steps=split.accumulation_steps * split.world_size,
            learning_rate=rate,
            step_count=count,
            evaluation_batch_size=schedule.evaluation_batch_size,
            trial=self._next_number,
            origin=TrialOrigin.NEIGHBOUR if self.made.begun else TrialOrigin.SUGGESTED,
            stop_after_s=max(self._left_s, self.view.tuning.trials.rung_schedule.min_rung_s),
            schedule=steps,
            is_loss_sum=is_loss_sum(self.view),
            in_fresh_process=self.view.profile.has_unsaved_state,
            time_limit_s=hook_limit_s(self.view) + self.view.request.budget_s,
        )

    @property
    def _next_number(self) -> int:
        """The number of a new trial: above all that were ever given."""
        return 1 + max((c.trial_number for c, _ in self.view.entries(Train)), default=0)
