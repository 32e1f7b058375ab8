"""The losses at which trials are compared, and the slopes of learning curves there.

    symbol  meaning                                         unit
    ℓ       level: a loss that some trial has come to       loss
    ℓ*      the target                                      loss
    D(ℓ)    −dℓ/d ln t of the learning curve                loss
    D*      D at the target, extrapolated                   loss
    α       exponent of the curve as a power law            –

A curve that falls as t to the power −α towards a floor loses slope as it loses height:
D* = D − α·(ℓ − ℓ*). Where that is below 0, D falls at least as a low power of the loss and at most
as a high one, and never below a share of itself (``LossLevelsTuning``). D is that of the trial of
lowest loss: slopes far above the target are not informative about it. If that trial has too high a
noise scale for its rate it flattens early, so that its D counts for as many times more, up to a
limit, as another's is steeper at that one's lowest loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advisor.estimators.learning_curve import Array, LearningCurve
from advisor.estimators.scaling_law import Slope
from advisor.estimators.scaling_likelihood import Level
from advisor.planning.throughput.step_cost import StepCost
from advisor.planning.trials.trials import Trial, Trials
from advisor.planning.tuning.comparison import LossLevelsTuning


@dataclass(frozen=True)
class LossLevels:
    """The losses at which the trials of a log are compared.

    Attributes:
        trials: What was trained.
    """

    trials: Trials

    @cached_property
    def shown(self) -> tuple[tuple[int, Trial, LearningCurve], ...]:
        """Trials of more than one point, with their numbers in the order of ``trials.all``.

        Of many it is those of lowest loss: how far the others are behind is known.
        """
        shown = [
            (number, trial, curve)
            for number, trial in enumerate(self.trials.all)
            if trial.runs and len((curve := self.trials.informative_curve(trial)).times_s) > 1
        ]
        lowest = sorted(shown, key=lambda one: one[2].best_loss)[: self._tuning.max_trials]
        return tuple(sorted(lowest, key=lambda one: one[0]))

    @cached_property
    def all(self) -> list[Level]:
        """The levels, highest first."""
        losses = self._losses
        if not len(losses):
            return []
        times_s = np.stack([curve.left_behind_s(losses) for _, _, curve in self.shown])
        slopes = np.stack(
            [
                curve.slopes_at(np.where(np.isnan(row), curve.end_s, row))
                for row, (_, _, curve) in zip(times_s, self.shown, strict=True)
            ]
        )
        steepest = np.where(np.isnan(times_s), 0.0, slopes).max(axis=0)
        return [
            self._level(float(loss), column, float(slope))
            for loss, column, slope in zip(losses, times_s.T, steepest, strict=True)
        ]

    @cached_property
    def _losses(self) -> Array:
        """The losses of the levels, highest first; few enough for so many trials."""
        if not self.shown:
            return np.array([])
        lead = min((curve for _, _, curve in self.shown), key=lambda curve: curve.best_loss)
        times_s = np.geomspace(lead.times_s[0], lead.end_s, self._tuning.levels_per_curve)
        found = set(map(lead.lowest_until, map(float, times_s)))
        found |= {curve.best_loss for _, _, curve in self.shown}
        losses: Array = np.array(sorted(filter(math.isfinite, found), reverse=True))
        most = self._tuning.max_comparisons // len(self.shown)
        places = np.linspace(0, len(losses) - 1, min(most, len(losses)))
        thinned: Array = losses[places.round().astype(int)]
        return thinned

    @cached_property
    def _step_times_s(self) -> dict[int, float]:
        """Seconds of a step by the trial's number."""
        cost = self.trials.view.model(StepCost)
        return {number: cost.step_time_s(trial.split) for number, trial, _ in self.shown}

    @cached_property
    def exponent(self) -> float:
        """The exponent α at the target."""
        target = self.trials.view.request.target_loss
        loss = self._lowest if target is None else target
        return self._exponent_of(self.target_slope, loss)

    @cached_property
    def target_slope(self) -> float:
        """D*, above 0."""
        flat_share = self._tuning.flat_slope_share
        flat: float = flat_share * abs(self._lowest) or flat_share
        sound = [(trial, curve) for _, trial, curve in self.shown if trial.is_sound]
        if not sound:
            return flat
        trial, lead = min(sound, key=lambda pair: pair[1].best_loss)
        flattened = _flattened(lead, [curve for _, curve in sound])
        limited = min(flattened, self._tuning.max_flattening)
        return limited * self._slope_left(trial, lead) or flat

    @property
    def _tuning(self) -> LossLevelsTuning:
        return self.trials.view.tuning.trials.loss_levels

    @property
    def _lowest(self) -> float:
        return min((curve.best_loss for _, _, curve in self.shown), default=1.0)

    def _slope_left(self, trial: Trial, curve: LearningCurve) -> float:
        """Return what is left of a trial's slope at the target; 0 where it has none."""
        tuning = self._tuning
        slope, target = curve.end_slope() or 0.0, self.trials.view.request.target_loss
        if slope <= 0 or target is None:
            return tuning.unknown_slope_share * slope
        loss = trial.curve.losses[-1]
        straight = 1 - tuning.usual_exponent * max(0.0, loss - target) / slope
        if not 0 < target < loss:
            return slope * max(straight, tuning.min_slope_share)
        share = target / loss
        least, most = share**tuning.max_slope_power, share**tuning.min_slope_power
        left: float = min(max(straight, least), most)
        return slope * max(left, tuning.min_slope_share)

    def _level(self, loss: float, times_s: Array, slope: float) -> Level:
        """Return a level by the seconds in which each curve came to it; nan if it did not."""
        steps: dict[int, float] = {}
        missed: dict[int, float] = {}
        for time_s, (number, _, curve) in zip(times_s.tolist(), self.shown, strict=True):
            step_time_s = self._step_times_s[number]
            if not math.isnan(time_s):
                steps[number] = max(time_s / step_time_s, 1.0)
            elif curve.losses[-1] > loss:
                missed[number] = curve.end_s / step_time_s
        steepness = max(1.0, slope / self.target_slope)
        return Level(
            steps=steps,
            missed=missed,
            slope=Slope(steepness=steepness, exponent=self._exponent_of(slope, loss)),
        )

    def _exponent_of(self, slope: float, loss: float) -> float:
        """Return D/ℓ within its limits; the usual exponent where losses may be below 0."""
        tuning = self._tuning
        if loss <= 0:
            return tuning.usual_exponent
        return min(max(slope / loss, tuning.min_exponent), tuning.max_exponent)


def _flattened(lead: LearningCurve, others: Sequence[LearningCurve]) -> float:
    """Return how many times as steep another curve is at the loss that it has come to, at most."""
    ratios = []
    times_s = lead.left_behind_s(np.array([other.best_loss for other in others]))
    for time_s, other in zip(times_s.tolist(), others, strict=True):
        slope = None if math.isnan(time_s) else lead.slope_until(time_s)
        ratios.append((other.end_slope() or 0.0) / slope if slope else 1.0)
    return max(ratios)


def numbers_of_broken(
    trials: Sequence[Trial], initial_loss: float | None, rise_share: float
) -> list[int]:
    """Return the places of trials that diverged, or whose loss has risen.

    Args:
        trials: What was trained.
        initial_loss: Held-out loss of the untrained model; None where it is not known.
        rise_share: Share of that loss by which a broken trial stands above it.
    """
    begun = math.inf if initial_loss is None else initial_loss + rise_share * abs(initial_loss)
    return [
        number
        for number, trial in enumerate(trials)
        if trial.runs and (trial.diverged or trial.curve.losses[-1] > begun)
    ]
