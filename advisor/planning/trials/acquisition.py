"""Acquisition: which untried setting the scaling model suggests, fitted to the trials.

Two settings are of interest. That of *least expected regret* is expected to be least behind the
best, over all laws that agree with the trials. That of *highest expected speed* has a higher rate
or a smaller batch and is less certain: trying it shows which law holds.

    symbol  meaning                                                   unit
    t       modelled time to the target                               s
    η       learning rate, of the mean over the batch                 –
    k       slowdown of a setting by a law: see ``scaling_law``       –
    𝓑       noise scale of a law                                      samples
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bsadvise.model.commands import REFERENCE_TRIAL
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.scaling_fit import fit_scaling_law
from advisor.estimators.scaling_law import Array, ScalingLaw, Setting
from advisor.planning.evidence.reference import reference_learning_rate
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.loss_levels import LossLevels, numbers_of_broken
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.trials import Trials
from advisor.planning.tuning.suggestion import AcquisitionTuning
from advisor.ports.proposer import Point

_MOST_EXPONENT = math.log(math.sqrt(sys.float_info.max))
"""Of e: what is multiplied by as much again is a number still."""

_ROUNDING = 1.01
"""Learning rates are rounded to three digits, so that a multiplier is known within this factor."""


@dataclass(frozen=True, slots=True)
class PredictedSetting:
    """A setting and its expected regret.

    Attributes:
        point: The setting.
        expected_regret: By how much ln t is expected to be above the best setting's.
    """

    point: Point
    expected_regret: float


@dataclass(frozen=True)
class Acquisition:
    """The settings that the scaling model suggests.

    Attributes:
        trials: What was trained, at least the reference.
        batches: The batch sizes that may be tried.
    """

    trials: Trials
    batches: BatchSizes

    @property
    def is_all_broken(self) -> bool:
        """Whether no trial has trained well yet, so that no law can be fitted."""
        return len(self._broken) == len(self.trials.all)

    @cached_property
    def least_expected_regret(self) -> PredictedSetting:
        """The setting that is expected to be least behind the best."""
        return self._setting(-self._regrets)

    @cached_property
    def highest_expected_speed(self) -> PredictedSetting:
        """The setting of highest expected speed, up to the largest multiplier allowed."""
        is_too_high = self._multipliers > self._largest_multiplier
        return self._setting(np.where(is_too_high, -np.inf, self._speeds))

    @cached_property
    def law(self) -> ScalingLaw:
        """The laws of batch and rate that agree with the trials."""
        levels = LossLevels(self.trials)
        view = self.trials.view
        return fit_scaling_law(
            Setting(self.batches.reference, self._reference_rate),
            [
                Setting(size, self.trials.mean_loss_rate(t.learning_rate, size))
                for t in self.trials.all
                for size in [t.split.effective_batch_size]
            ],
            levels.all,
            is_adaptive=view.profile.optimizer.family is not OptimizerFamily.SGD,
            exponent=levels.exponent,
            broken=self._broken,
            noise_scale=self._noise_scale,
            prior=view.prior,
            lag=self._lag,
            tuning=view.tuning.estimators.scaling,
        )

    def best_rates(self) -> Iterator[tuple[int, Array, Array]]:
        """Yield each batch that may be tried, with its best rate and what that is worth.

        Yields:
            The batch, samples; by each law at the target, the rate of the user's loss at which the
            batch reaches the target first; and ln t then, above the best setting's.
        """
        column_of = self.law.at_target.columns[1]
        for row, size in enumerate(self._batch_sizes):
            places, log_times = (
                self._log_times[row].argmin(axis=0),
                self._log_times[row].min(axis=0),
            )
            rates = self.trials.scaled_rate(size) * self._multipliers[row, places]
            yield size, rates[column_of], log_times[column_of] + self._noise_terms[row] - self._best

    @property
    def _noise_scale(self) -> NoiseScale | None:
        """The measured noise scale; None once times to target show more of B_c."""
        return self.batches.noise_scale if self.trials.shortest_time_to_target_s is None else None

    @property
    def _lag(self) -> float:
        """Steps by which momentum is behind from rest."""
        momentum = self.trials.view.profile.optimizer.momentum or 0.0
        return momentum / (1 - momentum) if 0 < momentum < 1 else 0.0

    @cached_property
    def _broken(self) -> list[int]:
        rise_share = self.trials.view.tuning.trials.loss_levels.broken_rise_share
        return numbers_of_broken(self.trials.all, self.trials.initial_loss, rise_share)

    @property
    def _reference_rate(self) -> float:
        """The rate that the priors are about; the lowest tried where the recipe broke."""
        view, size = self.trials.view, self.batches.reference
        if REFERENCE_TRIAL not in self._broken:
            rate = suggested_rate(view) or reference_learning_rate(view)
        else:
            lowest = min(trial.point.lr_multiplier for trial in self.trials.all)
            rate = lowest * self.trials.scaled_rate(size)
        return self.trials.mean_loss_rate(rate, size)

    @cached_property
    def _batch_sizes(self) -> tuple[int, ...]:
        return self.batches.finely()

    @cached_property
    def _rates(self) -> Array:
        """Rates, shape (rates,)."""
        tuning = self._tuning
        resolution = tuning.rate_steps_per_doubling
        steps = np.arange(
            -tuning.doublings_below_reference * resolution,
            tuning.doublings_above_reference * resolution + 1,
        )
        rates: Array = self._reference_rate * 2.0 ** (steps / resolution)
        return rates

    @cached_property
    def _multipliers(self) -> Array:
        """Rates over what the rule gives for the batch, shape (sizes, rates)."""
        scaled = np.array(
            [
                self.trials.mean_loss_rate(self.trials.scaled_rate(size), size)
                for size in self._batch_sizes
            ]
        )
        multipliers: Array = self._rates / scaled[:, None]
        return multipliers

    @cached_property
    def _largest_multiplier(self) -> float:
        """The largest multiplier that may be suggested for its expected speed."""
        broken = set(self._broken)
        sound = [t for n, t in enumerate(self.trials.all) if t.is_sound and n not in broken]
        largest = max((t.point.lr_multiplier for t in sound), default=1.0)
        return _ROUNDING * self._tuning.max_multiplier_factor * largest

    @cached_property
    def _log_times(self) -> list[Array]:
        """For each size, ln t without its term in 𝓑, but for a constant: (rates, columns)."""
        law, rates = self.law.at_target.columns[0], self._rates[:, None]
        return [
            law.log_slowdown(size, rates) - np.log(rates) + math.log(self.batches.step_time_s(size))
            for size in self._batch_sizes
        ]

    @cached_property
    def _noise_terms(self) -> list[Array]:
        """For each size, the term of ln t in 𝓑: shape (laws,)."""
        noise_scale = self.law.at_target.noise_scale
        return [0.5 * np.log1p(noise_scale / size) for size in self._batch_sizes]

    @cached_property
    def _best(self) -> Array:
        """Ln t of the best setting by each law."""
        column_of = self.law.at_target.columns[1]
        best_of_sizes = [
            log_times.min(axis=0)[column_of] + noise_term
            for log_times, noise_term in zip(self._log_times, self._noise_terms, strict=True)
        ]
        best: Array = np.min(best_of_sizes, axis=0)
        return best

    @cached_property
    def _regrets(self) -> Array:
        """By how much ln t of each setting is expected to be above the best, (sizes, rates)."""
        most = self._tuning.max_log_regret
        law = self.law.at_target
        times = np.empty((len(self._rates), len(law.probabilities)))
        rows = []
        for log_times, noise_term in zip(self._log_times, self._noise_terms, strict=True):
            np.take(log_times, law.columns[1], axis=1, out=times)
            times += noise_term - self._best
            rows.append(law.mean(np.minimum(times, most, out=times)))
        return np.stack(rows)

    @cached_property
    def _speeds(self) -> Array:
        """The expectation of each setting's speed to a power, shape (sizes, rates)."""
        law, power = self.law.at_target, self._tuning.speed_power
        column_of = law.columns[1]
        shortest = min(float(log_times.min()) for log_times in self._log_times)
        centre = min(float(law.mean(self._best)), shortest + _MOST_EXPONENT / power)
        rows = []
        for log_times, noise_term in zip(self._log_times, self._noise_terms, strict=True):
            weights = law.probabilities * np.exp(-power * noise_term)
            rows.append(np.exp(-power * (log_times - centre)) @ np.bincount(column_of, weights))
        return np.stack(rows)

    @property
    def _tuning(self) -> AcquisitionTuning:
        return self.trials.view.tuning.trials.acquisition

    def _setting(self, scores: Array) -> PredictedSetting:
        """Return the setting of the highest score."""
        size, rate = np.unravel_index(int(scores.argmax()), scores.shape)
        point = Point(
            effective_batch_size=self._batch_sizes[size],
            lr_multiplier=float(self._multipliers[size, rate]),
        )
        return PredictedSetting(point, float(self._regrets[size, rate]))
