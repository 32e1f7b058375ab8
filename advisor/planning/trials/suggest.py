"""Which setting to try: what the law promises, beside the best, then where the sampler points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from bsadvise.model.commands import TrialOrigin

from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.neighbours import Bounds, next_beside
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.ranking import Ranking
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.trials import Trial
from advisor.ports.proposer import Point, Proposer, Study, Suggestion, TrialRecord

_FRUITLESS_TRIALS = 16
"""The search ends when so many trials in a row were no better than the best."""
_NEIGHBOURHOOD = 4.0
"""The sampler looks within this factor of the best setting, in batch and in multiplier."""

_SURE = 0.15
"""The surest setting is taken if it is expected to be no farther behind the best, in ln t."""
_NEAR_BATCH, _NEAR_RATE = 1.62, 1.35
"""Settings within these factors of each other are not both tried for what they promise."""

_MULTIPLIER_RANGE = 64.0
_MUCH_COOLER = 8.0
"""While nothing trains well, each rate is so many times smaller than the last."""

_RUNGS = 12
"""A sampler is shown losses at so many times, each twice the one before."""


@dataclass(frozen=True)
class Suggester:
    """Proposes settings.

    Attributes:
        ranking: How the trials so far compare.
        batches: The batches worth a thought.
    """

    ranking: Ranking
    batches: BatchSizes

    def promising_point(self) -> Point | None:
        """Return the setting that the law of batch and rate points to; None when it was tried.

        While much is unknown and there is time, it is the most hopeful one, then the surest.
        """
        if self._suggested is not None and len(self.ranking.trials.begun) == 1:
            return self._suggested
        acquisition = self.acquisition
        if acquisition.is_lost:
            return self._much_cooler()
        prospect = acquisition.surest
        if prospect.behind > _SURE and not self.batches.view.model(RungSchedule).is_late:
            prospect = acquisition.most_hopeful
        point = prospect.point
        is_tried = any(
            begun.is_near(point, batch_factor=_NEAR_BATCH, multiplier_factor=_NEAR_RATE)
            for begun in self.ranking.trials.begun
        )
        return None if is_tried else point

    def promising(self, proposer: Proposer) -> Suggestion | None:
        """Return what the scaling model suggests; None when it was tried."""
        point = self.promising_point()
        if point is None:
            return None
        return proposer.propose(self._given(point, TrialOrigin.SUGGESTED))

    def neighbouring(self, proposer: Proposer) -> Suggestion | None:
        """Return a neighbour of the best trial or what TPE proposes; None at the search's end."""
        if self._since_improvement() >= _FRUITLESS_TRIALS:
            return None
        point = next_beside(self.ranking, self.bounds)
        if point is not None:
            return proposer.propose(self._given(point, TrialOrigin.NEIGHBOUR))
        return proposer.propose(self.study(self._neighbourhood()))

    def _much_cooler(self) -> Point | None:
        """Return a rate far below all that was tried, at the reference's batch or the nearest."""
        coolest = min(point.lr_multiplier for point in self.ranking.trials.begun)
        multiplier = coolest / _MUCH_COOLER
        if multiplier < self.bounds.smallest_multiplier / _MULTIPLIER_RANGE:
            return None
        reference = self.batches.reference
        size = min(self.batches.worth_trying(), key=lambda size: abs(math.log(size / reference)))
        return Point(effective_batch_size=size, lr_multiplier=multiplier)

    @cached_property
    def acquisition(self) -> Acquisition:
        """What the scaling model expects of settings that were not tried."""
        return Acquisition(self.ranking.trials, self.batches)

    @cached_property
    def bounds(self) -> Bounds:
        """Where settings may lie."""
        view, sizes = self.batches.view, self.batches.worth_trying()
        suggested = 1.0 if self._suggested is None else self._suggested.lr_multiplier
        return Bounds(
            smallest_batch_size=min(sizes),
            largest_batch_size=max(sizes),
            smallest_multiplier=min(suggested, 1.0) / _MULTIPLIER_RANGE,
            largest_multiplier=max(suggested, 1.0) * _MULTIPLIER_RANGE,
            multiple=view.request.world_size,
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
        """The setting that a range test points to; None without one."""
        rate, size = suggested_rate(self.batches.view), self.batches.reference
        if rate is None:
            return None
        scaled_rate = self.ranking.trials.scaled_rate(size)
        return Point(effective_batch_size=size, lr_multiplier=rate / scaled_rate)

    def _record(self, trial: Trial) -> TrialRecord:
        """Return what a proposer may know of a trial."""
        horizon_s = self.batches.view.model(RungSchedule).horizon_s
        losses = {}
        for rung in range(_RUNGS):
            time_s = horizon_s / 2 ** (_RUNGS - 1 - rung)
            if trial.arrival_s is not None and trial.arrival_s < time_s:
                losses[rung] = trial.curve.best_loss
            elif trial.reaches(time_s):
                losses[rung] = trial.loss_until(time_s)
        return TrialRecord(
            point=trial.point,
            losses=losses if trial.is_sound else {},
            was_pruned=trial.is_sound and _RUNGS - 1 not in losses,
            excess=0.0 if trial.is_sound else 1.0,
        )

    def _neighbourhood(self) -> Bounds:
        """Return the bounds within which the sampler looks: about the best trial."""
        best = self.ranking.best
        if best is None:
            return self.bounds
        bounds, point = self.bounds, best.point
        return replace(
            bounds,
            smallest_batch_size=max(
                bounds.smallest_batch_size, int(point.effective_batch_size / _NEIGHBOURHOOD)
            ),
            largest_batch_size=min(
                bounds.largest_batch_size, int(point.effective_batch_size * _NEIGHBOURHOOD)
            ),
            smallest_multiplier=point.lr_multiplier / _NEIGHBOURHOOD,
            largest_multiplier=point.lr_multiplier * _NEIGHBOURHOOD,
        )

    def _since_improvement(self) -> int:
        """Return how many trials have begun since the best one did."""
        best = self.ranking.best
        since = 0 if best is None else best.number
        after = sum(trial.number > since for trial in self.ranking.trials.all)
        return after + len(self.ranking.trials.pending)
