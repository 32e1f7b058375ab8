"""Fits the law of batch and rate to short trainings.

Notation is that of ``ridge_law``. Every loss that two settings have come down to compares them, and
ln s(ℓ) is whatever fits a level best; a setting that took many steps and did not come to a level is
worse than the law says if the law says less. The law's four unknowns, η_c, B_c, 𝓑 and the slope at
the target, have wide priors about the reference recipe; that of B_c is about the measured noise
scale too, which predicts it (McCandlish et al., arXiv 1812.06162). They are few enough for a grid:
first over the prior, then over what that leaves.

On the recorded grids of four workloads the law holds within 0.1 to 0.3 in ln k, root mean square,
for all settings that take no more than six times as long as the best.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.ridge_law import Array, RidgeLaw, Setting, Slope, heat_of
from advisor.estimators.ridge_likelihood import LawGrid, Level, Trainings

_RATE_CENTRE, _RATE_SPREAD = math.log(16), math.log(6)
"""η_c over the reference's rate: the logarithm's mean and deviation before anything was seen."""
_BATCH_CENTRE, _BATCH_SPREAD = math.log(2.5), math.log(6)
"""B_c over the reference's batch size, likewise."""
_MEASURED_SPREAD, _MEASURED_FREEDOM = 1.0, 3.0
"""ln B_c about the measured noise scale: scale and degrees of freedom of Student's distribution.
Its tails let a noise scale that was measured before anything was learned yield to trials."""
_NOISE_CENTRE, _NOISE_SPREAD = math.log(1.5), math.log(4)
"""𝓑 over the reference's batch size, likewise."""
_SLOPE_SPREAD = 0.8
"""ln D at the target is an extrapolation: it may be off by so much."""

_POINTS = (15, 11, 5, 3)
"""Points of the grid along η_c, B_c, 𝓑 and the slope."""
_NOISE_AXIS = 2
_WIDTH = 2.2
"""The grid's half-width in deviations, of the prior at first, then of what is left of it."""

_INDEPENDENT = 2.0
"""The levels of one training are worth so many that are independent."""
_BROKEN_HEAT, _BROKEN_SOFTNESS = 3.0, 0.5
"""A setting that broke has at least this heat, give or take."""
_BROKEN_SLOPE = Slope(steepness=1 / 0.3)
"""Settings break early, where curves are steep."""

_NEGLIGIBLE = 1e-4


def fit_ridge_law(
    reference: Setting,
    settings: Sequence[Setting],
    levels: Sequence[Level],
    *,
    is_adaptive: bool,
    exponent: float,
    broken: Collection[int] = (),
    noise_scale: NoiseScale | None = None,
    lag: float = 0.0,
) -> RidgeLaw:
    """Return what the law may be.

    Args:
        reference: The recipe that the priors are about.
        settings: What was trained.
        levels: Losses that they came down to, by their numbers in ``settings``.
        is_adaptive: Whether the optimizer divides by what it saw of the gradient, as Adam does.
        exponent: α at the target, above 0.
        broken: Numbers of the settings that diverged or only grew worse.
        noise_scale: As it was measured while the reference trained; None if B_c is not to be
            looked for near it.
        lag: Steps by which trainings from rest are behind the flow, at least 0: m/(1 − m) under
            momentum m.
    """
    telling = [level for level in levels if level.compares]
    trainings = Trainings(settings, telling, _weights(telling), lag)

    def fitted(centres: Array, spreads: Array) -> tuple[Array, RidgeLaw]:
        axes = _axes(centres, spreads, is_adaptive=is_adaptive)
        grid = _laws_at(axes, reference, is_adaptive=is_adaptive)
        logs = _log_prior(axes, grid, noise_scale) + _log_broken(grid, settings, broken)
        logs = trainings.log_likelihoods(logs, grid).ravel()
        places = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
        return places, _laws(grid, _normalised(np.exp(logs - logs.max())), exponent)

    places, law = fitted(np.zeros(len(_POINTS)), np.ones(len(_POINTS)))
    centres = law.probabilities @ places
    spreads = np.sqrt(law.probabilities @ (places - centres) ** 2)
    return _without_negligible(fitted(centres, spreads)[1])


def _axes(centres: Array, spreads: Array, *, is_adaptive: bool) -> list[Array]:
    """Return the points along each axis about some centres, in deviations of the prior."""
    axes = [
        centre + spread * np.linspace(-_WIDTH, _WIDTH, count)
        for centre, spread, count in zip(centres, spreads, _POINTS, strict=True)
    ]
    if not is_adaptive:
        axes[_NOISE_AXIS] = np.zeros(1)
    return axes


def _laws_at(axes: Sequence[Array], reference: Setting, *, is_adaptive: bool) -> LawGrid:
    """Return the laws at some points of the grid."""
    rates, batches, noises, slopes = axes
    size = reference.batch_size
    noise_scales = size * np.exp(_NOISE_CENTRE + _NOISE_SPREAD * noises)
    return LawGrid(
        largest_rates=reference.learning_rate * np.exp(_RATE_CENTRE + _RATE_SPREAD * rates),
        critical_batch_sizes=size * np.exp(_BATCH_CENTRE + _BATCH_SPREAD * batches),
        noise_scales=noise_scales if is_adaptive else np.zeros(len(noises)),
        steepnesses=np.exp(_SLOPE_SPREAD * slopes),
    )


def _laws(grid: LawGrid, probabilities: Array, exponent: float) -> RidgeLaw:
    axes = (
        grid.largest_rates,
        grid.critical_batch_sizes,
        grid.noise_scales,
        grid.steepnesses,
    )
    rates, batches, noises, slopes = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    return RidgeLaw(
        probabilities=probabilities,
        largest_rate=rates,
        critical_batch_size=batches,
        noise_scale=noises,
        steepness=slopes,
        exponent=exponent,
    )


def _log_prior(axes: Sequence[Array], grid: LawGrid, measured: NoiseScale | None) -> Array:
    """Return the log of each law's prior, shape (R, B, N, S), but for a constant."""
    squares = np.meshgrid(*(axis**2 for axis in axes), indexing="ij")
    prior: Array = -0.5 * np.sum(squares, axis=0)
    return prior + _log_evidence(grid, measured)[None, :, None, None]


def _log_evidence(grid: LawGrid, measured: NoiseScale | None) -> Array:
    """Return what a measured noise scale says of each B_c, shape (B,)."""
    if measured is None or measured.log_deviation is None:
        return np.zeros(len(grid.critical_batch_sizes))
    spread = math.hypot(_MEASURED_SPREAD, measured.log_deviation)
    off = np.log(grid.critical_batch_sizes / measured.value) / spread
    result: Array = -0.5 * (_MEASURED_FREEDOM + 1) * np.log1p(off**2 / _MEASURED_FREEDOM)
    return result


def _log_broken(grid: LawGrid, settings: Sequence[Setting], broken: Collection[int]) -> Array:
    """Return what settings that broke say of each law, shape (R, B, 1, S)."""
    rates, batches, _, slopes = grid.shape
    if not broken:
        return np.zeros((rates, batches, 1, slopes))
    sizes, etas = np.array(
        [(settings[number].batch_size, settings[number].learning_rate) for number in broken]
    ).T[:, :, None]
    largest_rates, critical, steepnesses = grid.columns()
    heat = heat_of(sizes, etas, largest_rates, critical, steepnesses, _BROKEN_SLOPE)
    logs = np.logaddexp(0.0, (_BROKEN_HEAT - heat) / _BROKEN_SOFTNESS).sum(axis=0)
    result: Array = -logs.reshape(rates, batches, 1, slopes)
    return result


def _weights(levels: Sequence[Level]) -> dict[int, float]:
    """Return what a level counts for by the setting's number: few of them are independent."""
    counts = Counter(number for level in levels for number in (*level.steps, *level.missed))
    return {number: min(1.0, _INDEPENDENT / count) for number, count in counts.items()}


def _normalised(weights: Array) -> Array:
    result: Array = weights / weights.sum()
    return result


def _without_negligible(law: RidgeLaw) -> RidgeLaw:
    kept = law.probabilities > _NEGLIGIBLE * law.probabilities.max()
    return replace(
        law,
        probabilities=_normalised(law.probabilities[kept]),
        largest_rate=law.largest_rate[kept],
        critical_batch_size=law.critical_batch_size[kept],
        noise_scale=law.noise_scale[kept],
        steepness=law.steepness[kept],
    )
