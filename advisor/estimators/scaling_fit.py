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
et al., arXiv 1812.06162), and those of η_c and B_c about what earlier searches of the task found,
where there were any. They are few enough for a grid: first over the prior, then over what that
leaves.

On the recorded grids of four workloads the law holds within 0.1 to 0.3 in ln k, root mean square,
for all settings that take no more than six times as long as the best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from bsadvise.model.measurements import LogEstimate, Prior

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.scaling_law import Array, ScalingLaw, Setting, Slope, log_slowdown_of
from advisor.estimators.scaling_likelihood import LawGrid, Level, Trainings
from advisor.estimators.scaling_tuning import ScalingTuning

_NOISE_AXIS = 2
"""The grid's axis of 𝓑, of the four in the order of ``ScalingTuning.grid_points``."""


def fit_scaling_law(
    reference: Setting,
    settings: Sequence[Setting],
    levels: Sequence[Level],
    *,
    is_adaptive: bool,
    exponent: float,
    broken: Collection[int] = (),
    noise_scale: NoiseScale | None = None,
    prior: Prior | None = None,
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
        prior: What earlier searches of the same task say of η_c and B_c; None for nothing.
        lag: Steps by which trainings from rest are behind the flow, at least 0: m/(1 − m) under
            momentum m.
        tuning: Priors, grid and tolerances.
    """
    comparing = [level for level in levels if level.compares]
    trainings = Trainings(settings, comparing, _weights(comparing, tuning), lag, tuning)

    def fitted(centres: Array, spreads: Array) -> tuple[Array, ScalingLaw]:
        axes = _axes(centres, spreads, tuning, is_adaptive=is_adaptive)
        grid = _laws_at(axes, reference, tuning, is_adaptive=is_adaptive)
        logs = _log_prior(axes, grid, noise_scale, tuning)
        logs = logs + _log_recalled(axes, prior, reference, tuning)
        logs = logs + _log_broken(grid, settings, broken, tuning)
        logs = trainings.log_likelihoods(logs, grid).ravel()
        places = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        probabilities = _normalised(np.exp(logs - logs.max()))
        return places, _laws(grid, probabilities, exponent, tuning)

    axis_count = len(tuning.grid_points)
    places, law = fitted(np.zeros(axis_count), np.ones(axis_count))
    centres = law.probabilities @ places
    spreads = np.sqrt(law.probabilities @ (places - centres) ** 2)
    return _without_negligible(fitted(centres, spreads)[1], tuning.negligible_probability)


def _axes(
    centres: Array, spreads: Array, tuning: ScalingTuning, *, is_adaptive: bool
) -> list[Array]:
    """Return z at the points along each axis of a grid about some centres."""
    width = tuning.grid_half_width
    axes = [
        centre + spread * np.linspace(-width, width, count)
        for centre, spread, count in zip(centres, spreads, tuning.grid_points, strict=True)
    ]
    if not is_adaptive:
        axes[_NOISE_AXIS] = np.zeros(1)
    return axes


def _laws_at(
    axes: Sequence[Array], reference: Setting, tuning: ScalingTuning, *, is_adaptive: bool
) -> LawGrid:
    """Return the laws at some points of the grid."""
    rates, batches, noises, slopes = axes
    size = reference.batch_size
    noise_scales = size * _log_normal(noises, tuning.noise_median, tuning.noise_spread)
    return LawGrid(
        largest_rates=reference.learning_rate
        * _log_normal(rates, tuning.rate_median, tuning.rate_spread),
        critical_batch_sizes=size * _log_normal(batches, tuning.batch_median, tuning.batch_spread),
        noise_scales=noise_scales if is_adaptive else np.zeros(len(noises)),
        steepnesses=np.exp(tuning.slope_log_deviation * slopes),
    )


def _laws(
    grid: LawGrid, probabilities: Array, exponent: float, tuning: ScalingTuning
) -> ScalingLaw:
    axes = (
        grid.largest_rates,
        grid.critical_batch_sizes,
        grid.noise_scales,
        grid.steepnesses,
    )
    rates, batches, noises, slopes = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    return ScalingLaw(
        probabilities=probabilities,
        largest_rate=rates,
        critical_batch_size=batches,
        noise_scale=noises,
        steepness=slopes,
        exponent=exponent,
        max_noise_share=tuning.max_noise_share,
    )


def _log_normal(deviations: Array, median: float, spread: float) -> Array:
    """Return the values at some deviations of a log-normal distribution."""
    result: Array = np.exp(math.log(median) + math.log(spread) * deviations)
    return result


def _log_prior(
    axes: Sequence[Array], grid: LawGrid, measured: NoiseScale | None, tuning: ScalingTuning
) -> Array:
    """Return the log of each law's prior, shape (R, B, N, S), but for a constant."""
    squares = np.meshgrid(*(axis**2 for axis in axes), indexing="ij")
    prior: Array = -0.5 * np.sum(squares, axis=0)
    return prior + _log_evidence(grid, measured, tuning)[None, :, None, None]


def _log_evidence(grid: LawGrid, measured: NoiseScale | None, tuning: ScalingTuning) -> Array:
    """Return the log density that a measured noise scale gives each B_c, shape (B,)."""
    if measured is None or measured.log_deviation is None:
        return np.zeros(len(grid.critical_batch_sizes))
    freedom = tuning.measured_freedom
    spread = math.hypot(tuning.measured_log_deviation, measured.log_deviation)
    off = np.log(grid.critical_batch_sizes / measured.value) / spread
    result: Array = -0.5 * (freedom + 1) * np.log1p(off**2 / freedom)
    return result


def _log_recalled(
    axes: Sequence[Array], earlier: Prior | None, reference: Setting, tuning: ScalingTuning
) -> Array:
    """Return the log of what earlier searches make of each law's prior density: (R, B, 1, 1).

    They speak of this search with some probability t, and with 1 − t of another: a mixture, whose
    second part is the prior without them. So the trials overrule them where they are wrong.
    """
    if earlier is None or earlier.critical_batch_size is None or earlier.largest_rate is None:
        return np.zeros((1, 1, 1, 1))
    rates, batches, *_ = axes
    rate_ratio = earlier.largest_rate.median / (reference.learning_rate * tuning.rate_median)
    batch_ratio = earlier.critical_batch_size.median / (reference.batch_size * tuning.batch_median)
    log_ratio = (
        _log_ratio(rates, rate_ratio, earlier.largest_rate, tuning.rate_spread)[:, None]
        + _log_ratio(batches, batch_ratio, earlier.critical_batch_size, tuning.batch_spread)[None]
    )
    share = tuning.prior_share
    mixed: Array = np.logaddexp(math.log(share) + log_ratio, math.log(1 - share))
    return mixed[:, :, None, None]


def _log_ratio(deviations: Array, ratio: float, about: LogEstimate, spread: float) -> Array:
    """Return ln p/p₀ at some deviations z: p₀ is standard normal, p is p₀ times an estimate.

    Args:
        deviations: z.
        ratio: The estimate's median over that of p₀.
        about: The estimate.
        spread: The factor that one z amounts to.
    """
    median, deviation = math.log(ratio) / math.log(spread), about.log_deviation / math.log(spread)
    variance = 1 + deviation**2
    log_scale = 0.5 * math.log(variance) - math.log(deviation) + 0.5 * median**2 / variance
    result: Array = log_scale - 0.5 * ((deviations - median) / deviation) ** 2
    return result


def _log_broken(
    grid: LawGrid, settings: Sequence[Setting], broken: Collection[int], tuning: ScalingTuning
) -> Array:
    """Return the log probability that the broken settings break, shape (R, B, 1, S)."""
    rates, batches, _, slopes = grid.shape
    if not broken:
        return np.zeros((rates, batches, 1, slopes))
    sizes, etas = np.array(
        [(settings[number].batch_size, settings[number].learning_rate) for number in broken]
    ).T[:, :, None]
    slope = Slope(steepness=tuning.broken_steepness, exponent=tuning.broken_exponent)
    rate, critical, steepness = grid.columns()
    slowdown = log_slowdown_of(
        sizes, etas, rate, critical, steepness, slope, tuning.max_noise_share
    )
    excess = (tuning.broken_slowdown - slowdown) / tuning.broken_softness
    result: Array = -np.logaddexp(0.0, excess).sum(axis=0).reshape(rates, batches, 1, slopes)
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
