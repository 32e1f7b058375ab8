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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from advisor.estimators.noise_scale import NoiseScale
from advisor.estimators.ridge_law import Array, RidgeLaw, Setting, Slope

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

_MISFIT = 0.15
"""Deviation of ln k from the law at many steps; at k steps there is 1/k more, and the lag over k:
a training from rest that has momentum takes that long to move as fast as the law says."""
_INDEPENDENT = 2.0
"""The levels of one training are worth so many that are independent."""
_FAR = 1.0
"""A square misfit counts for no more than this one: laws end somewhere."""

_BROKEN_HEAT, _BROKEN_SOFTNESS = 3.0, 0.5
"""A setting that broke has at least this heat, give or take."""
_BROKEN_SLOPE = Slope(steepness=1 / 0.3)
"""Settings break early, where curves are steep."""

_NEGLIGIBLE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A loss, and which trainings came down to it.

    Attributes:
        steps: k by the setting's number, at least 1, of those that did.
        missed: Steps taken in vain by the setting's number, of those that did not.
        slope: Of the learning curve there.
    """

    steps: Mapping[int, float]
    missed: Mapping[int, float]
    slope: Slope

    @property
    def compares(self) -> bool:
        """Whether it compares any two settings."""
        return bool(self.steps) and len(self.steps) + len(self.missed) > 1


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
    weights = _weights(telling)

    def fitted(centres: Array, spreads: Array) -> tuple[Array, RidgeLaw]:
        places = _grid(centres, spreads, is_adaptive=is_adaptive)
        law = _laws_at(places, reference, exponent, is_adaptive=is_adaptive)
        logs = -0.5 * (places**2).sum(axis=1) + _log_prior(law, noise_scale)
        for level in telling:
            logs += _log_likelihood(law, settings, level, weights, lag)
        for number in broken:
            logs -= np.logaddexp(
                0.0, (_BROKEN_HEAT - _heat(law, settings[number])) / _BROKEN_SOFTNESS
            )
        return places, replace(law, probabilities=_normalised(np.exp(logs - logs.max())))

    places, law = fitted(np.zeros(len(_POINTS)), np.ones(len(_POINTS)))
    centres = law.probabilities @ places
    spreads = np.sqrt(law.probabilities @ (places - centres) ** 2)
    return _without_negligible(fitted(centres, spreads)[1])


def _heat(law: RidgeLaw, setting: Setting) -> Array:
    return law.heat(setting.batch_size, setting.learning_rate, _BROKEN_SLOPE)


def _grid(centres: Array, spreads: Array, *, is_adaptive: bool) -> Array:
    """Return points about some centres, a row each, in deviations of the prior."""
    axes = [
        centre + spread * np.linspace(-_WIDTH, _WIDTH, count)
        for centre, spread, count in zip(centres, spreads, _POINTS, strict=True)
    ]
    if not is_adaptive:
        axes[_NOISE_AXIS] = np.zeros(1)
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _laws_at(places: Array, reference: Setting, exponent: float, *, is_adaptive: bool) -> RidgeLaw:
    """Return the laws at some points of the grid, all equally probable."""
    rate, batch, noise, slope = places.T
    size = reference.batch_size
    noise_scale = size * np.exp(_NOISE_CENTRE + _NOISE_SPREAD * noise)
    return RidgeLaw(
        probabilities=np.full(len(places), 1 / len(places)),
        largest_rate=reference.learning_rate * np.exp(_RATE_CENTRE + _RATE_SPREAD * rate),
        critical_batch_size=size * np.exp(_BATCH_CENTRE + _BATCH_SPREAD * batch),
        noise_scale=noise_scale if is_adaptive else np.zeros(len(places)),
        steepness=np.exp(_SLOPE_SPREAD * slope),
        exponent=exponent,
    )


def _log_prior(law: RidgeLaw, measured: NoiseScale | None) -> Array:
    """Return what a measured noise scale says of each law, before any is compared with trials."""
    if measured is None or measured.log_deviation is None:
        return np.zeros(len(law.probabilities))
    spread = math.hypot(_MEASURED_SPREAD, measured.log_deviation)
    off = np.log(law.critical_batch_size / measured.value) / spread
    result: Array = -0.5 * (_MEASURED_FREEDOM + 1) * np.log1p(off**2 / _MEASURED_FREEDOM)
    return result


def _log_likelihood(
    law: RidgeLaw,
    settings: Sequence[Setting],
    level: Level,
    weights: Mapping[int, float],
    lag: float,
) -> Array:
    """Return what a level says of each law."""

    def relative(number: int) -> Array:
        setting = settings[number]
        return law.log_steps(setting.batch_size, setting.learning_rate, level.slope)

    rests = np.stack([math.log(steps) - relative(number) for number, steps in level.steps.items()])
    precisions = np.array(
        [
            weights[number] / (_MISFIT**2 + (1 + lag**2) / steps**2)
            for number, steps in level.steps.items()
        ]
    )
    flow = precisions @ rests / precisions.sum()
    result: Array = -0.5 * precisions @ np.minimum((rests - flow) ** 2, _FAR)
    for number, steps in level.missed.items():
        early = np.maximum(0.0, math.log(steps) - flow - relative(number))
        precision = weights[number] / (_MISFIT**2 + (lag / steps) ** 2)
        result -= 0.5 * precision * np.minimum(early**2, _FAR)
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
