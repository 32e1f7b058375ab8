"""The losses that trials have come down to, and how learning curves fall there and at the target.

    ℓ       level: a loss that some trial has come down to
    ℓ*      the target
    D(ℓ)    −dℓ/d ln t of the learning curve
    α       exponent of the curve as a power law

D at the target is an extrapolation. A curve that falls as t to the power −α towards a floor loses
slope as it loses height: D* = D − α·(ℓ − ℓ*). Where that is out of reach, D falls at least as the
loss does and at most as its sixth power, and never below an eighth. D is that of the trial that has
come lowest: curves that fall steeply far above the target say little of it. If that trial is too
hot it flattens before its time, so that its D counts for as many times more, at most twice, as
another's is steeper at the loss to which that one has come.
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

_ALONG = 10
"""LossLevels along the curve of the trial that has come lowest."""

_MOST_TRIALS = 32
_MOST_COMPARISONS = 800
"""Trials, and trials times levels: what the fit takes is in proportion to the latter."""

_EXPONENT = 0.5
_LEAST_EXPONENT, _MOST_EXPONENT = 0.05, 1.5
_LEAST_POWER, _MOST_POWER = 1.0, 6.0
_LEAST_SLOPE_LEFT = 0.12
_MOST_FLATTENED = 2.0

_UNKNOWN_SLOPE_LEFT = 0.6
"""Of D, where there is no target: one trains on for longer than any trial."""
_RISEN = 0.05
"""A trial whose loss stands above where it began by this share of it is broken."""
_FLAT_SHARE = 1e-3
"""D over the loss where no trial tells of any."""


@dataclass(frozen=True)
class LossLevels:
    """What trials have come down to, by the losses that tell the most.

    Attributes:
        trials: What was trained.
    """

    trials: Trials

    @cached_property
    def shown(self) -> tuple[tuple[int, Trial, LearningCurve], ...]:
        """Trials that show anything, with their numbers in the order of ``trials.all``.

        Of many it is those whose losses came lowest: how far the others are behind is known.
        """
        shown = [
            (number, trial, curve)
            for number, trial in enumerate(self.trials.all)
            if trial.runs and len((curve := self.trials.telling_curve(trial)).times_s) > 1
        ]
        lowest = sorted(shown, key=lambda one: one[2].best_loss)[:_MOST_TRIALS]
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
        times_s = np.geomspace(lead.times_s[0], lead.end_s, _ALONG)
        found = set(map(lead.lowest_until, map(float, times_s)))
        found |= {curve.best_loss for _, _, curve in self.shown}
        losses: Array = np.array(sorted(filter(math.isfinite, found), reverse=True))
        most = _MOST_COMPARISONS // len(self.shown)
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
        return _exponent(self.target_slope, loss)

    @cached_property
    def target_slope(self) -> float:
        """D*, above 0."""
        flat: float = _FLAT_SHARE * abs(self._lowest) or _FLAT_SHARE
        sound = [(trial, curve) for _, trial, curve in self.shown if trial.is_sound]
        if not sound:
            return flat
        trial, lead = min(sound, key=lambda pair: pair[1].best_loss)
        flattened = max(_flattened(lead, curve) for _, curve in sound)
        return min(flattened, _MOST_FLATTENED) * self._slope_left(trial, lead) or flat

    @property
    def _lowest(self) -> float:
        return min((curve.best_loss for _, _, curve in self.shown), default=1.0)

    def _slope_left(self, trial: Trial, curve: LearningCurve) -> float:
        """Return what is left of a trial's slope at the target; 0 where it shows none."""
        slope, target = curve.end_slope() or 0.0, self.trials.view.request.target_loss
        if slope <= 0 or target is None:
            return _UNKNOWN_SLOPE_LEFT * slope
        loss = trial.curve.losses[-1]
        straight = 1 - _EXPONENT * max(0.0, loss - target) / slope
        if not 0 < target < loss:
            return slope * max(straight, _LEAST_SLOPE_LEFT)
        share = target / loss
        left: float = min(max(straight, share**_MOST_POWER), share**_LEAST_POWER)
        return slope * max(left, _LEAST_SLOPE_LEFT)

    def _level(self, loss: float, times_s: Array, slope: float) -> Level:
        """Return a level by the seconds in which each curve came down to it; nan if it did not."""
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
            slope=Slope(steepness=steepness, exponent=_exponent(slope, loss)),
        )


def _flattened(lead: LearningCurve, other: LearningCurve) -> float:
    """Return how many times as steep another curve is at the loss that it has come to."""
    time_s = float(lead.left_behind_s(np.array([other.best_loss]))[0])
    slope = None if math.isnan(time_s) else lead.slope_until(time_s)
    return (other.end_slope() or 0.0) / slope if slope else 1.0


def _exponent(slope: float, loss: float) -> float:
    """Return D/ℓ within what is usual; the usual one where losses may be below 0."""
    if loss <= 0:
        return _EXPONENT
    return min(max(slope / loss, _LEAST_EXPONENT), _MOST_EXPONENT)


def numbers_of_broken(trials: Sequence[Trial], initial_loss: float | None) -> list[int]:
    """Return the places of trials that diverged, or stand above where they began."""
    begun = math.inf if initial_loss is None else initial_loss + _RISEN * abs(initial_loss)
    return [
        number
        for number, trial in enumerate(trials)
        if trial.runs and (trial.diverged or trial.curve.losses[-1] > begun)
    ]
