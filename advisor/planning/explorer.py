"""Which setting to try next: along the ridge, beside the best, then where the sampler points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from advisor.domain.commands import TrialOrigin
from advisor.planning.batch_sizes import BatchSizes
from advisor.planning.range_test import suggested_rate
from advisor.planning.ranking import Ranking
from advisor.planning.ridge import Bounds, next_at_rate, next_beside, next_on_ridge
from advisor.planning.schedule import Schedule
from advisor.planning.step_cost import StepCost
from advisor.planning.trials import Trial
from advisor.ports.proposer import Point, Proposer, Study, TrialRecord

_FRUITLESS_TRIALS = 16
"""The search ends when so many trials in a row were no better than the best."""
_NEIGHBOURHOOD = 4.0
"""The sampler looks within this factor of the best setting, in batch and in multiplier."""

_CHEAP = 2.0
"""A larger batch at the same rate is tried if its step takes at most this many times as long."""

_MULTIPLIER_RANGE = 64.0
_MULTIPLIER_FACTOR = {True: 3.0, False: 4.0}
"""By whether there is a rate to begin from: the user's, or a range test's."""
_BATCH_FACTOR = 4.0

_RUNGS = 12
"""A sampler is shown losses at so many times, each twice the one before."""


@dataclass(frozen=True)
class Explorer:
    """Proposes settings.

    Attributes:
        ranking: How the trials so far compare.
        batches: The batches worth a thought.
    """

    ranking: Ranking
    batches: BatchSizes

    def next_point(self, proposer: Proposer) -> tuple[Point, TrialOrigin] | None:
        """Return the setting to try next and why; None when none is worth its time."""
        if self._suggested is not None and len(self.ranking.trials.all) == 1:
            return self._suggested, TrialOrigin.PREDICTION
        point = next_on_ridge(self.ranking, self.bounds, self.batches.predicted())
        if point is not None:
            is_predicted = point.effective_batch_size == self.batches.predicted()
            return point, TrialOrigin.PREDICTION if is_predicted else TrialOrigin.RIDGE
        point = next_at_rate(self.ranking, self.bounds, self.ranking.trials.scaled_rate)
        if point is not None and self._is_cheap(point):
            return point, TrialOrigin.RIDGE
        if self._since_improvement() >= _FRUITLESS_TRIALS:
            return None
        point = next_beside(self.ranking, self.bounds)
        if point is not None:
            return point, TrialOrigin.RIDGE
        return proposer.propose(self.study(self._neighbourhood())), TrialOrigin.SAMPLER

    @cached_property
    def bounds(self) -> Bounds:
        """Where settings may lie."""
        facts, sizes = self.batches.facts, self.batches.worth_trying()
        suggested = 1.0 if self._suggested is None else self._suggested.lr_multiplier
        has_rate = facts.profile.reference_learning_rate is not None
        return Bounds(
            smallest_batch_size=min(sizes),
            largest_batch_size=max(sizes),
            smallest_multiplier=min(suggested, 1.0) / _MULTIPLIER_RANGE,
            largest_multiplier=max(suggested, 1.0) * _MULTIPLIER_RANGE,
            multiplier_factor=_MULTIPLIER_FACTOR[has_rate or self._suggested is not None],
            batch_factor=_BATCH_FACTOR,
            multiple=facts.request.world_size,
        )

    def study(self, bounds: Bounds) -> Study:
        """Return the trials as a proposer sees them, within ``bounds``."""
        return Study(
            smallest_batch_size=bounds.smallest_batch_size,
            largest_batch_size=bounds.largest_batch_size,
            smallest_multiplier=bounds.smallest_multiplier,
            largest_multiplier=bounds.largest_multiplier,
            trials=tuple(map(self._record, self.ranking.trials.all)),
            seed=self.batches.facts.request.seed,
        )

    @cached_property
    def _suggested(self) -> Point | None:
        """The setting that a range test points to; None without one."""
        rate, size = suggested_rate(self.batches.facts), self.batches.reference
        if rate is None:
            return None
        scaled_rate = self.ranking.trials.scaled_rate(size)
        return Point(effective_batch_size=size, lr_multiplier=rate / scaled_rate)

    def _record(self, trial: Trial) -> TrialRecord:
        """Return what a proposer may know of a trial."""
        horizon_s = Schedule(self.batches.facts).horizon_s
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
            is_finished=True,
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
        return len(self.ranking.trials.all) - 1 - (0 if best is None else best.number)

    def _is_cheap(self, point: Point) -> bool:
        """Return whether a step of ``point`` costs little more than one of the best trial."""
        best, cost = self.ranking.best, StepCost(self.batches.facts)
        split = cost.split(self.batches.divisible(point.effective_batch_size))
        if best is None or split is None:
            return False
        return cost.step_time_s(split) <= _CHEAP * cost.step_time_s(best.split)
