"""Which setting to try: the scaling model's, a neighbour of the best trial, then the sampler's."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from bsadvise.model.commands import TrialOrigin

from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.neighbours import Bounds, next_neighbour
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.trials import Trial
from advisor.planning.tuning.suggestion import SuggestTuning
from advisor.ports.proposer import Point, Proposer, Study, Suggestion, TrialRecord


@dataclass(frozen=True)
class Suggester:
    """Proposes settings.

    Attributes:
        ranking: How the trials so far compare.
        batches: The batch sizes that may be tried.
    """

    ranking: Ranking
    batches: BatchSizes

    def predicted_point(self) -> Point | None:
        """Return the setting that the scaling model suggests; None when it was tried or is too low.

        While the expected regret is high and there is time, it is that of highest expected speed,
        then that of least expected regret.
        """
        if self._suggested is not None and len(self.ranking.trials.begun) == 1:
            return self._suggested
        acquisition = self.acquisition
        if acquisition.is_all_broken:
            return self._fallback()
        tuning, setting = self._tuning, acquisition.least_expected_regret
        is_late = self.batches.view.model(RungSchedule).is_late
        if setting.expected_regret > tuning.max_expected_regret and not is_late:
            setting = acquisition.highest_expected_speed
        point = setting.point
        if point.lr_multiplier < self._lowest_multiplier:
            return None
        is_tried = any(
            begun.is_near(
                point,
                batch_factor=tuning.distinct_batch_factor,
                multiplier_factor=tuning.distinct_multiplier_factor,
            )
            for begun in self.ranking.trials.begun
        )
        return None if is_tried else point

    def suggested(self, proposer: Proposer) -> Suggestion | None:
        """Return what the scaling model suggests; None when it was tried."""
        point = self.predicted_point()
        if point is None:
            return None
        return proposer.propose(self._given(point, TrialOrigin.SUGGESTED))

    def explored(self, proposer: Proposer) -> Suggestion | None:
        """Return a neighbour of the best trial or what TPE proposes; None at the search's end."""
        if self._since_improvement() >= self._tuning.max_trials_without_improvement:
            return None
        point = next_neighbour(self.ranking, self.bounds)
        if point is not None:
            return proposer.propose(self._given(point, TrialOrigin.NEIGHBOUR))
        return proposer.propose(self.study(self._neighbourhood()))

    @property
    def _tuning(self) -> SuggestTuning:
        return self.batches.view.tuning.trials.suggest

    def _fallback(self) -> Point | None:
        """Return a rate far below all that was tried, at the reference's batch or the nearest."""
        lowest = min(point.lr_multiplier for point in self.ranking.trials.begun)
        multiplier = lowest / self._tuning.fallback_divisor
        if multiplier < self._lowest_multiplier:
            return None
        reference = self.batches.reference
        size = min(self.batches.worth_trying(), key=lambda size: abs(math.log(size / reference)))
        return Point(effective_batch_size=size, lr_multiplier=multiplier)

    @property
    def _lowest_multiplier(self) -> float:
        """The lowest worth trying where others break: each would else lead to one still lower."""
        return self.bounds.smallest_multiplier / self._tuning.multiplier_range

    @cached_property
    def acquisition(self) -> Acquisition:
        """What the scaling model expects of settings that were not tried."""
        return Acquisition(self.ranking.trials, self.batches)

    @cached_property
    def bounds(self) -> Bounds:
        """Where settings may lie."""
        sizes = self.batches.worth_trying()
        multiplier_range = self._tuning.multiplier_range
        suggested = 1.0 if self._suggested is None else self._suggested.lr_multiplier
        return Bounds(
            smallest_batch_size=min(sizes),
            largest_batch_size=max(sizes),
            smallest_multiplier=min(suggested, 1.0) / multiplier_range,
            largest_multiplier=max(suggested, 1.0) * multiplier_range,
        )

    def study(self, bounds: Bounds) -> Study:
        """Return the trials as a proposer sees them, within ``bounds``."""
        trials = (
            *map(self._record, self.ranking.trials.all),
            *(TrialRecord(point=point) for point in self.ranking.trials.pending),
        )
        return self._study(bounds, trials=trials)

    def _given(self, point: Point, origin: TrialOrigin) -> Study:
        """Return a study whose next setting is known, for which its trials do not matter."""
        return self._study(self.bounds, suggestion=Suggestion(point=point, origin=origin))

    def _study(
        self,
        bounds: Bounds,
        *,
        trials: tuple[TrialRecord, ...] = (),
        suggestion: Suggestion | None = None,
    ) -> Study:
        return Study(
            smallest_batch_size=bounds.smallest_batch_size,
            largest_batch_size=bounds.largest_batch_size,
            smallest_multiplier=bounds.smallest_multiplier,
            largest_multiplier=bounds.largest_multiplier,
            trials=trials,
            seed=self.batches.view.request.seed,
            suggestion=suggestion,
        )

    @cached_property
    def _suggested(self) -> Point | None:
        """The setting that a range test suggests; None without one."""
        rate, size = suggested_rate(self.batches.view), self.batches.reference
        if rate is None:
            return None
        scaled_rate = self.ranking.trials.scaled_rate(size)
        return Point(effective_batch_size=size, lr_multiplier=rate / scaled_rate)

    def _record(self, trial: Trial) -> TrialRecord:
        """Return what a proposer may know of a trial."""
        horizon_s = self.batches.view.model(RungSchedule).horizon_s
        losses = {}
        last = self._tuning.sampler_rungs - 1
        for rung in range(last + 1):
            time_s = horizon_s / 2 ** (last - rung)
            if trial.time_to_target_s is not None and trial.time_to_target_s < time_s:
                losses[rung] = trial.curve.best_loss
            elif trial.reaches(time_s):
                losses[rung] = trial.loss_until(time_s)
        return TrialRecord(
            point=trial.point,
            losses=losses if trial.is_sound else {},
            was_pruned=trial.is_sound and last not in losses,
            excess=0.0 if trial.is_sound else 1.0,
        )

    def _neighbourhood(self) -> Bounds:
        """Return the bounds within which the sampler proposes: about the best trial."""
        factor = self._tuning.sampler_range_factor
        best = self.ranking.best
        if best is None:
            return self.bounds
        bounds, point = self.bounds, best.point
        return replace(
            bounds,
            smallest_batch_size=bounds.within(int(point.effective_batch_size / factor)),
            largest_batch_size=bounds.within(int(point.effective_batch_size * factor)),
            smallest_multiplier=point.lr_multiplier / factor,
            largest_multiplier=point.lr_multiplier * factor,
        )

    def _since_improvement(self) -> int:
        """Return how many trials have begun since the best one did."""
        best = self.ranking.best
        since = 0 if best is None else best.number
        after = sum(trial.number > since for trial in self.ranking.trials.all)
        return after + len(self.ranking.trials.pending)
