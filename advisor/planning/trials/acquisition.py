"""What settings promise that were not tried: the law of batch and rate, fitted to the trials.

Two settings are of interest. The *surest* is the one that is expected to be least behind the best,
whatever the law turns out to be. The *most hopeful* has the highest expected speed: it is hotter
and farther off, and trying it teaches what the law is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.scaling_fit import fit_scaling_law
from advisor.estimators.scaling_law import Array, ScalingLaw, Setting
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.loss_levels import LossLevels, numbers_of_broken
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.trials import REFERENCE_TRIAL, Trials
from advisor.ports.proposer import Point

_RATE_STEPS_PER_DOUBLING = 3
_DOUBLINGS_BELOW, _DOUBLINGS_ABOVE = 4, 10
"""How far rates go from the reference's."""

_MOST_BEHIND = math.log(8)
"""A setting that never arrives is no farther behind than this, in ln t."""
_DARING = 1.5
"""Speeds are expected to this power: the higher it is, the more hopeful."""
_HOTTER = 4.0
"""No setting is tried whose multiplier is so many times the hottest that trained well."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """A setting, and what it promises.

    Attributes:
        point: The setting.
        behind: By how much ln t is expected to be above the best setting's.
    """

    point: Point
    behind: float


@dataclass(frozen=True)
class Acquisition:
    """Settings by what they promise.

    Attributes:
        trials: What was trained, at least the reference.
        batches: The batches worth a thought.
    """

    trials: Trials
    batches: BatchSizes

    @property
    def is_lost(self) -> bool:
        """Whether nothing has trained well yet, so that there is nothing to go by."""
        return len(self._broken) == len(self.trials.all)

    @cached_property
    def surest(self) -> Prospect:
        """The setting that is expected to be least behind the best."""
        return self._prospect(-self._behind)

    @cached_property
    def most_hopeful(self) -> Prospect:
        """The setting of the highest expected speed, of those that are not far too hot."""
        hot = self._multipliers > self._hottest
        return self._prospect(np.where(hot, -np.inf, self._speeds))

    @cached_property
    def law(self) -> ScalingLaw:
        """What the law of batch and rate may be."""
        levels = LossLevels(self.trials)
        view = self.trials.view
        return fit_scaling_law(
            Setting(self.batches.reference, self._reference_rate),
            [Setting(t.split.effective_batch_size, t.learning_rate) for t in self.trials.all],
            levels.all,
            is_adaptive=view.profile.optimizer.family is not OptimizerFamily.SGD,
            exponent=levels.exponent,
            broken=self._broken,
            noise_scale=self._noise_scale,
            lag=self._lag,
        )

    @property
    def _noise_scale(self) -> NoiseScale | None:
        """𝓑 while it is the best that is known of B_c: arrivals at the target tell better."""
        return self.batches.noise_scale if self.trials.soonest_s is None else None

    @property
    def _lag(self) -> float:
        """Steps by which momentum is behind from rest."""
        momentum = self.trials.view.profile.optimizer.momentum or 0.0
        return momentum / (1 - momentum) if 0 < momentum < 1 else 0.0

    @cached_property
    def _broken(self) -> list[int]:
        return numbers_of_broken(self.trials.all, self.trials.initial_loss)

    @property
    def _reference_rate(self) -> float:
        """The rate that the priors are about; the coolest tried where the recipe broke."""
        view = self.trials.view
        if REFERENCE_TRIAL not in self._broken:
            return suggested_rate(view) or reference_learning_rate(view)
        coolest = min(trial.point.lr_multiplier for trial in self.trials.all)
        return coolest * self.trials.scaled_rate(self.batches.reference)

    @cached_property
    def _batch_sizes(self) -> tuple[int, ...]:
        return self.batches.finely()

    @cached_property
    def _rates(self) -> Array:
        """Rates, shape (rates,)."""
        steps = np.arange(
            -_DOUBLINGS_BELOW * _RATE_STEPS_PER_DOUBLING,
            _DOUBLINGS_ABOVE * _RATE_STEPS_PER_DOUBLING + 1,
        )
        rates: Array = self._reference_rate * 2.0 ** (steps / _RATE_STEPS_PER_DOUBLING)
        return rates

    @cached_property
    def _multipliers(self) -> Array:
        """Rates over what the rule gives for the batch, shape (sizes, rates)."""
        scaled = np.array([self.trials.scaled_rate(size) for size in self._batch_sizes])
        multipliers: Array = self._rates / scaled[:, None]
        return multipliers

    @cached_property
    def _hottest(self) -> float:
        broken = set(self._broken)
        sound = [t for n, t in enumerate(self.trials.all) if t.is_sound and n not in broken]
        return 1.01 * _HOTTER * max((t.point.lr_multiplier for t in sound), default=1.0)

    @cached_property
    def _heats(self) -> list[Array]:
        """For each size, what of ln t knows nothing of 𝓑, but for a constant: (rates, columns)."""
        law, rates = self.law.at_target.columns[0], self._rates[:, None]
        return [
            law.log_slowdown(size, rates) - np.log(rates) + math.log(self.batches.step_time_s(size))
            for size in self._batch_sizes
        ]

    @cached_property
    def _dilutions(self) -> list[Array]:
        """For each size, what is left of ln t: shape (laws,)."""
        noise_scale = self.law.at_target.noise_scale
        return [0.5 * np.log1p(noise_scale / size) for size in self._batch_sizes]

    @cached_property
    def _best(self) -> Array:
        """Ln t of the best setting by each law."""
        column_of = self.law.at_target.columns[1]
        best_of_sizes = [
            heats.min(axis=0)[column_of] + diluted
            for heats, diluted in zip(self._heats, self._dilutions, strict=True)
        ]
        best: Array = np.min(best_of_sizes, axis=0)
        return best

    @cached_property
    def _behind(self) -> Array:
        """By how much ln t of each setting is expected to be above the best, (sizes, rates)."""
        law = self.law.at_target
        times = np.empty((len(self._rates), len(law.probabilities)))
        rows = []
        for heats, diluted in zip(self._heats, self._dilutions, strict=True):
            np.take(heats, law.columns[1], axis=1, out=times)
            times += diluted - self._best
            rows.append(law.mean(np.minimum(times, _MOST_BEHIND, out=times)))
        return np.stack(rows)

    @cached_property
    def _speeds(self) -> Array:
        """The expected speed of each setting to the power _DARING, shape (sizes, rates)."""
        law = self.law.at_target
        centre, column_of = float(law.mean(self._best)), law.columns[1]
        rows = []
        for heats, diluted in zip(self._heats, self._dilutions, strict=True):
            weights = law.probabilities * np.exp(-_DARING * diluted)
            rows.append(np.exp(-_DARING * (heats - centre)) @ np.bincount(column_of, weights))
        return np.stack(rows)

    def _prospect(self, merits: Array) -> Prospect:
        """Return the setting of the highest merit."""
        size, rate = np.unravel_index(int(merits.argmax()), merits.shape)
        point = Point(
            effective_batch_size=self._batch_sizes[size],
            lr_multiplier=float(self._multipliers[size, rate]),
        )
        return Prospect(point, float(self._behind[size, rate]))
