"""Fits the scaling law of batch and rate to short trainings.

Notation is that of ``scaling_law``, and

    symbol  meaning                                                           unit
    z       an unknown's deviation from its prior median, in the logarithm    prior deviations
    r       ln k − (ln k − ln s) of a setting by a law: its estimate of ln s  –
    σ       misfit: deviation of ln k from the law at many steps              –
    lag     steps by which a training from rest is behind the flow            steps

Every loss that two settings have come down to compares them, and ln s(ℓ) is whatever fits a level
best; a setting that took many steps and did not come to a level is worse than the law predicts if
the law predicts less. The precision of r is 1/(σ² + (1 + lag²)/k²): a training from rest that has
momentum takes as long as the lag to move as fast as the law assumes.

The law's four unknowns, η_c, B_c, 𝓑 and the slope at the target, have wide priors about the
reference recipe; that of B_c is about the measured noise scale too, which predicts it (McCandlish
et al., arXiv 1812.06162). They are few enough for a grid: first over the prior, then over what that
leaves.

On the recorded grids of four workloads the law holds within 0.1 to 0.3 in ln k, root mean square,
for all settings that take no more than six times as long as the best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.scaling_law import Array, ScalingLaw, Setting, Slope
from advisor.estimators.scaling_tuning import ScalingTuning

_NOISE_AXIS = 2
"""The grid's axis of 𝓑, of the four in the order of ``ScalingTuning.grid_points``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A loss, and which trainings came down to it.

    Attributes:
        steps: k by the setting's number, at least 1, of those that did.
        missed: Steps taken by the setting's number, of those that did not.
        slope: Of the learning curve there.
    """

    steps: Mapping[int, float]
    missed: Mapping[int, float]
    slope: Slope

    @property
    def compares(self) -> bool:
        """Whether it compares any two settings."""
        return bool(self.steps) and len(self.steps) + len(self.missed) > 1


def fit_scaling_law(
    reference: Setting,
    settings: Sequence[Setting],
    levels: Sequence[Level],
    *,
    is_adaptive: bool,
    exponent: float,
    broken: Collection[int] = (),
    noise_scale: NoiseScale | None = None,
    lag: float = 0.0,
    tuning: ScalingTuning = ScalingTuning(),
) -> ScalingLaw:
    """Return the laws that agree with the trainings, and how probable each is.

    Args:
        reference: The recipe that the priors are about.
        settings: What was trained.
        levels: Losses that they came down to, by their numbers in ``settings``.
        is_adaptive: Whether the optimizer divides by a running mean of squared gradients, as Adam
            does.
        exponent: α at the target, above 0.
        broken: Numbers of the settings that diverged or only grew worse.
        noise_scale: As it was measured while the reference trained; None where the
            prior of B_c is to be without it.
        lag: Steps by which trainings from rest are behind the flow, at least 0: m/(1 − m) under
            momentum m.
        tuning: Priors, grid and tolerances.
    """
    comparing = [level for level in levels if level.compares]
    weights = _weights(comparing, tuning)

    def fitted(centres: Array, spreads: Array) -> tuple[Array, ScalingLaw]:
        places = _grid(centres, spreads, tuning, is_adaptive=is_adaptive)
        law = _laws_at(places, reference, exponent, tuning, is_adaptive=is_adaptive)
        logs = -0.5 * (places**2).sum(axis=1) + _log_prior(law, noise_scale, tuning)
        for level in comparing:
            logs += _log_likelihood(law, settings, level, weights, lag, tuning)
        for number in broken:
            logs -= _surprise_at_breaking(law, settings[number], tuning)
        return places, replace(law, probabilities=_normalised(np.exp(logs - logs.max())))

    axes = len(tuning.grid_points)
    places, law = fitted(np.zeros(axes), np.ones(axes))
    centres = law.probabilities @ places
    spreads = np.sqrt(law.probabilities @ (places - centres) ** 2)
    return _without_negligible(fitted(centres, spreads)[1], tuning.negligible_probability)


def _surprise_at_breaking(law: ScalingLaw, setting: Setting, tuning: ScalingTuning) -> Array:
    """Return −ln of the probability that a setting breaks, by each law."""
    slope = Slope(steepness=tuning.broken_steepness, exponent=tuning.broken_exponent)
    slowdown = law.log_slowdown(setting.batch_size, setting.learning_rate, slope)
    result: Array = np.logaddexp(0.0, (tuning.broken_slowdown - slowdown) / tuning.broken_softness)
    return result


def _grid(centres: Array, spreads: Array, tuning: ScalingTuning, *, is_adaptive: bool) -> Array:
    """Return z at the points of a grid about some centres, shape (points, 4)."""
    width = tuning.grid_half_width
    axes = [
        centre + spread * np.linspace(-width, width, count)
        for centre, spread, count in zip(centres, spreads, tuning.grid_points, strict=True)
    ]
    if not is_adaptive:
        axes[_NOISE_AXIS] = np.zeros(1)
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _laws_at(
    places: Array,
    reference: Setting,
    exponent: float,
    tuning: ScalingTuning,
    *,
    is_adaptive: bool,
) -> ScalingLaw:
    """Return the laws at some points of the grid, all equally probable."""
    rate, batch, noise, slope = places.T
    size = reference.batch_size
    noise_scale = size * _log_normal(noise, tuning.noise_median, tuning.noise_spread)
    return ScalingLaw(
        probabilities=np.full(len(places), 1 / len(places)),
        largest_rate=reference.learning_rate
        * _log_normal(rate, tuning.rate_median, tuning.rate_spread),
        critical_batch_size=size * _log_normal(batch, tuning.batch_median, tuning.batch_spread),
        noise_scale=noise_scale if is_adaptive else np.zeros(len(places)),
        steepness=np.exp(tuning.slope_log_deviation * slope),
        exponent=exponent,
        max_noise_share=tuning.max_noise_share,
    )


def _log_normal(deviations: Array, median: float, spread: float) -> Array:
    """Return the values at some deviations of a log-normal distribution."""
    result: Array = np.exp(math.log(median) + math.log(spread) * deviations)
    return result


def _log_prior(law: ScalingLaw, measured: NoiseScale | None, tuning: ScalingTuning) -> Array:
    """Return the log density that a measured noise scale gives each law, before any trial."""
    if measured is None or measured.log_deviation is None:
        return np.zeros(len(law.probabilities))
    freedom = tuning.measured_freedom
    spread = math.hypot(tuning.measured_log_deviation, measured.log_deviation)
    off = np.log(law.critical_batch_size / measured.value) / spread
    result: Array = -0.5 * (freedom + 1) * np.log1p(off**2 / freedom)
    return result


def _log_likelihood(
    law: ScalingLaw,
    settings: Sequence[Setting],
    level: Level,
    weights: Mapping[int, float],
    lag: float,
    tuning: ScalingTuning,
) -> Array:
    """Return the log likelihood of a level by each law."""

    def relative(number: int) -> Array:
        setting = settings[number]
        return law.log_steps(setting.batch_size, setting.learning_rate, level.slope)

    variance, most = tuning.misfit**2, tuning.max_square_misfit
    rests = np.stack([math.log(steps) - relative(number) for number, steps in level.steps.items()])
    precisions = np.array(
        [
            weights[number] / (variance + (1 + lag**2) / steps**2)
            for number, steps in level.steps.items()
        ]
    )
    flow = precisions @ rests / precisions.sum()
    result: Array = -0.5 * precisions @ np.minimum((rests - flow) ** 2, most)
    for number, steps in level.missed.items():
        early = np.maximum(0.0, math.log(steps) - flow - relative(number))
        precision = weights[number] / (variance + (lag / steps) ** 2)
        result -= 0.5 * precision * np.minimum(early**2, most)
    return result


def _weights(levels: Sequence[Level], tuning: ScalingTuning) -> dict[int, float]:
    """Return what a level counts for by the setting's number: few of them are independent."""
    counts = Counter(number for level in levels for number in (*level.steps, *level.missed))
    return {number: min(1.0, tuning.independent_levels / n) for number, n in counts.items()}


def _normalised(weights: Array) -> Array:
    result: Array = weights / weights.sum()
    return result


def _without_negligible(law: ScalingLaw, threshold: float) -> ScalingLaw:
    kept = law.probabilities > threshold * law.probabilities.max()
    return replace(
        law,
        probabilities=_normalised(law.probabilities[kept]),
        largest_rate=law.largest_rate[kept],
        critical_batch_size=law.critical_batch_size[kept],
        noise_scale=law.noise_scale[kept],
        steepness=law.steepness[kept],
    )
