"""The search over complete trainings, each with its own warm-up and decay.

A trial that is cut short, at a constant rate or in the middle of a decay, prefers other rates and
batches than a training that ends (docs/horizon.md). Trials at a constant rate are cheap and find
where to look; then complete trainings compare by their final loss. They begin with the best trial,
its rate multiplied by what the schedule changes by the convex bound, and the reference recipe; each
further one is a neighbour of the best so far: another rate first, then another batch with the rate
that the rule gives it (coordinate search; Kolda, Lewis & Torczon, SIAM Review 45, 2003).
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
from advisor.planning.horizon.rungs import BY_FINAL_LOSS, CompleteRungs
from advisor.planning.horizon.scheduled_trainings import ScheduledTraining
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.rung_schedule import RungSchedule
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
    def rungs(self) -> CompleteRungs:
        """How long they are, and those so far."""
        return self.view.model(CompleteRungs)

    @property
    def _tuning(self) -> CompleteTrainingTuning:
        return self.view.tuning.horizon

    @property
    def is_asked(self) -> bool:
        """Whether a length was stated, and trainings can be made that speak of it."""
        can_train = self.view.step_times is not None and self.view.model(TrialSearch).can_train
        is_weighed = self.view.request.objective in BY_FINAL_LOSS
        return can_train and is_weighed and self.rungs.own_s > 0 and self.rungs.length_s > 0

    def next_training(self) -> Train | None:
        """Return the next complete training; None when there is no time for another."""
        if self.view.request.max_trials == 0 or len(self._begun) >= self._most:
            return None
        for size, rate in self._settings():
            found = self.training(size, rate, self.rungs.samples(size))
            if found is not None and self.is_affordable(found, checks_s=self._checks_s):
                return found
        return None

    @property
    def is_exhausted(self) -> bool:
        """Whether no neighbour of the best is left to be trained, however much time there is."""
        return len(self._begun) >= self._most or next(self._settings(), None) is None

    @property
    def _most(self) -> int:
        asked = self.view.request.max_trials
        return min(self._tuning.max_trainings, asked or self._tuning.max_trainings)

    @cached_property
    def _begun(self) -> tuple[Train, ...]:
        return tuple(filter(self.rungs.is_compared, self.rungs.made.begun))

    @property
    def _checks_s(self) -> float:
        """Modelled seconds that are kept for what follows the search."""
        rungs = self.rungs
        if rungs.is_whole or rungs.ends_whole:
            return 0.0
        best = rungs.best
        shorter_s = rungs.shorter_s(self._reference if best is None else best.batch_size)
        if len(self.sizes) == 1:
            return rungs.length_s
        return (2 if shorter_s else 1) * rungs.length_s + 2 * shorter_s

    @cached_property
    def _reference(self) -> int:
        return self.view.model(BatchSizes).reference

    def _settings(self) -> Iterator[tuple[int, float]]:
        """Yield what is worth training next, the first that is possible first."""
        for start in self._starts():
            is_possible = start[0] == self._reference or self._is_worth_training(start[0])
            if is_possible and not self._is_tried(*start, factor=1.01):
                yield start
        best = self.rungs.best
        if best is None:
            if not self._begun:
                return  # Neither start can be paid for.
            lowest = min(command.learning_rate for command in self._begun)
            yield self._reference, lowest / self._tuning.fallback_divisor
            return
        for factor in self._tuning.factors:
            for size, rate in self._neighbours(best, factor):
                # Half a step: what is nearer was tried.
                if not self._is_tried(size, rate, factor=math.sqrt(factor)):
                    yield size, rate

    def _starts(self) -> Iterator[tuple[int, float]]:
        """Yield the best trial, with a rate for the schedule or its own, and the reference."""
        size, rate = self._best_trial
        peak = float(f"{rate * peak_rate_factor(self.rungs.stated.shape, CONSTANT):.3g}")
        yield size, peak
        if any(math.isinf(t.loss) and t.learning_rate == peak for t in self.rungs.compared):
            yield size, rate
        yield self._reference, reference_learning_rate(self.view)

    @cached_property
    def _best_trial(self) -> tuple[int, float]:
        """Batch and rate of the best trial at a constant rate."""
        best = self.view.model(TrialSearch).ranking.best
        size, rate = self._reference, reference_learning_rate(self.view)
        rate = suggested_rate(self.view) or rate
        if best is not None:
            size, rate = best.split.effective_batch_size, best.learning_rate
        return size, rate

    def _neighbours(self, best: ScheduledTraining, factor: float) -> Iterator[tuple[int, float]]:
        size, rate = best.batch_size, best.learning_rate
        yield size, rate * factor
        yield size, rate / factor
        for wanted in (size * factor, size / factor):
            other = self.nearest_size(wanted)
            if other != size:
                rule = scaled_rate(self.view, 1.0, other) / scaled_rate(self.view, 1.0, size)
                yield other, rate * rule

    def nearest_size(self, wanted: float) -> int:
        """Return the batch size of ``sizes`` that is nearest by its logarithm."""
        return min(self.sizes, key=lambda one: abs(math.log(one / wanted)))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes with enough steps in a training, and no more time; rising."""
        sizes = filter(self._is_worth_training, self.view.model(BatchSizes).finely())
        return tuple(sorted({*sizes, self._reference}))

    def _is_worth_training(self, size: int) -> bool:
        rungs, tuning = self.rungs, self._tuning
        samples = rungs.samples(size)
        time_s = samples * rungs.stated.sample_time_s(size)
        # Only where each is the stated training does a smaller batch take longer.
        is_slow = rungs.weighs_time and time_s > tuning.most_time_factor * rungs.length_s
        return samples >= tuning.min_steps * size and not is_slow

    def _is_tried(self, size: int, rate: float, *, factor: float) -> bool:
        """Return whether a training was begun within a factor in batch and in rate."""
        return any(
            max(c.effective_batch_size / size, size / c.effective_batch_size) < factor
            and max(c.learning_rate / rate, rate / c.learning_rate) < factor
            for c in self._begun
        )

    def is_affordable(self, command: Train, *, checks_s: float = 0.0) -> bool:
        """Return whether there is time for a training and for what must follow it.

        Args:
            command: On a schedule.
            checks_s: Modelled seconds of what must follow it.
        """
        expected_s = self.view.model(WallClock).expected_s(command)
        expected_s *= 1 + checks_s / self.rungs.made.time_s(command)
        return expected_s <= min(self.rungs.allowance_s - self._spent_s, self._left_s)

    def final(self, size: int, rate: float) -> Train | None:
        """Return the stated training with a setting that short ones found.

        None where it was begun, or there is no time for it.
        """
        found = self.training(size, rate, self.rungs.stated.samples(size))
        if found is None or any(
            (c.effective_batch_size, c.learning_rate, c.step_count)
            == (size, found.learning_rate, found.step_count)
            for c in self.rungs.made.begun
        ):
            return None
        expected_s = self.view.model(WallClock).expected_s(found)
        return found if expected_s <= self._left_s else None

    @property
    def _spent_s(self) -> float:
        return sum(e.wall_s for c, e in self.view.entries(Train) if c.schedule is not None)

    @property
    def _left_s(self) -> float:
        return self.view.remaining_s - self.view.model(RungSchedule).reserve_s

    def training(self, size: int, rate: float, samples: float) -> Train | None:
        """Return a complete training; None where the batch cannot be run."""
        split = self.view.model(StepCost).split(size)
        if split is None:
            return None
        steps = self.rungs.stated.steps(size, samples)
        return self._train(split, float(f"{rate:.3g}"), steps, steps.total_steps)

    def beginning(self, split: Split, rate: float, steps: StepSchedule) -> Train | None:
        """Return the first steps of the stated training with a setting, for about T_r.

        A short training may survive a peak rate at which a long one diverges, since it soon
        decays. None where those steps were run.

        Args:
            split: The batch.
            rate: Peak η.
            steps: The schedule of the stated training.
        """
        size, made = split.effective_batch_size, self.rungs.made
        step_time_s = self.view.model(StepCost).step_time_s(split)
        count = min(round(self.rungs.length_s / step_time_s), steps.total_steps - 1)
        is_run = any((one.batch_size, one.learning_rate) == (size, rate) for one in made.beginnings)
        if count < 1 or is_run or len(made.beginnings) >= self._tuning.max_beginnings:
            return None
        return self._train(split, rate, steps, count)

    def _train(self, split: Split, rate: float, steps: StepSchedule, count: int) -> Train:
        schedule, size = self.view.model(RungSchedule), split.effective_batch_size
        begun = self.rungs.made.begun
        return Train(
            micro_batch_size=split.micro_batch_size,
            accumulation_steps=split.accumulation_steps * split.world_size,
            learning_rate=rate,
            step_count=count,
            evaluation_batch_size=schedule.evaluation_batch_size,
            trial=self._next_number,
            origin=TrialOrigin.NEIGHBOUR if begun else TrialOrigin.SUGGESTED,
            stop_after_s=max(self._left_s, self.view.tuning.trials.rung_schedule.min_rung_s),
            schedule=steps,
            complete_number=1 + len(begun) if count == steps.total_steps else None,
            stated_share=count * size / self.rungs.stated.samples(size),
            is_loss_sum=is_loss_sum(self.view),
            in_fresh_process=self.view.profile.has_unsaved_state,
            time_limit_s=hook_limit_s(self.view) + self.view.request.budget_s,
        )

    @property
    def _next_number(self) -> int:
        """The number of a new trial: above all that were ever given."""
        return 1 + max((c.trial_number for c, _ in self.view.entries(Train)), default=0)
