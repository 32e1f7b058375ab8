"""How many steps a setting takes to a loss: a law of batch and rate.

    B, η    batch size, samples, and learning rate: a setting
    ℓ       level: a loss that trainings come down to
    k       optimizer steps of a setting to ℓ
    s(ℓ)    sum of rates to ℓ along the gradient flow; unknown, and the same for all settings
    𝓑       noise scale at which half of an adaptive optimizer's step is noise, samples
    η_c     rate that curvature allows
    B_c     batch size at which noise costs as much as curvature, samples
    D(ℓ)    slope of the learning curve, −dℓ/d ln k
    w(ℓ)    D at the target over D(ℓ), at most 1
    α(ℓ)    exponent of the learning curve as a power law, D/ℓ

    ln k = ln s(ℓ) − ln η + ½·ln(1 + 𝓑/B) + η/η_c − ln(1 − α·w·η/η_c·B_c/B)/α

The first two terms are the flow: while rates are small, the loss depends on the sum of rates alone.
The third is an adaptive optimizer's: it divides by √(G² + Σ/B), so that noise shortens its steps
(Li et al., arXiv 2405.14578); it is absent from SGD. The rest is *heat*. Rates near what curvature
allows gain less than they promise. And noise keeps the loss above the flow's by about η/B (Zhang et
al., arXiv 1907.04164): time makes that good, the more of it the flatter the curve has become, and
where the noise alone exceeds the level, none does. For a loss that falls as k to the power −α that
comes to the last term, which is w·η/η_c·B_c/B while it is small.

Two things follow while it is. The best rate at a batch is η_c/(1 + B_c/B), and at that rate steps
go with 1 + B_c/B: McCandlish's η(B) and S(B), arXiv 1812.06162. And what is hot looks well early,
where curves are steep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_WALL = 0.9
"""Share of a level that noise may make up before the law goes on along its tangent: what lies
beyond is as good as never reached, and must still be worse the hotter it is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A batch size, samples, and a learning rate, both above 0."""

    batch_size: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """How a learning curve falls at a level.

    Attributes:
        steepness: D(ℓ) over D at the target, above 0.
        exponent: α(ℓ), above 0.
    """

    steepness: float = 1.0
    exponent: float = 0.5


@dataclass(frozen=True)
class RidgeLaw:
    """What the law may be, by what was seen: many laws, each with its probability.

    Attributes:
        probabilities: Of each law; their sum is 1.
        largest_rate: η_c of each.
        critical_batch_size: B_c of each at the target, samples.
        noise_scale: 𝓑 of each, samples; 0 where the optimizer is not adaptive.
        steepness: Of each, a factor on the steepness of every level: D at the target is unsure.
        exponent: α at the target.
    """

    probabilities: Array
    largest_rate: Array
    critical_batch_size: Array
    noise_scale: Array
    steepness: Array
    exponent: float

    def log_steps(
        self, batch_size: float | Array, learning_rate: float | Array, slope: Slope | None = None
    ) -> Array:
        """Return ln k − ln s by each law, which is the last axis.

        Args:
            batch_size: B, above 0; an array has a last axis of length 1.
            learning_rate: η, above 0, likewise.
            slope: Of the learning curve at the level; None at the target.
        """
        diluted = 0.5 * np.log1p(self.noise_scale / batch_size)
        result: Array = (
            diluted - np.log(learning_rate) + self.heat(batch_size, learning_rate, slope)
        )
        return result

    def heat(
        self, batch_size: float | Array, learning_rate: float | Array, slope: Slope | None = None
    ) -> Array:
        """Return the last two terms of ln k by each law; the arguments are those of log_steps."""
        return heat_of(
            batch_size,
            learning_rate,
            self.largest_rate,
            self.critical_batch_size,
            self.steepness,
            slope or Slope(steepness=0.0, exponent=self.exponent),
        )

    def mean(self, values: Array) -> Array:
        """Return the expectation of what each law gives, along the last axis."""
        result: Array = values @ self.probabilities
        return result


def heat_of(
    batch_size: float | Array,
    learning_rate: float | Array,
    largest_rate: Array,
    critical_batch_size: Array,
    steepness: Array,
    slope: Slope,
) -> Array:
    """Return the last two terms of ln k; arguments broadcast.

    Args:
        batch_size: B, above 0.
        learning_rate: η, above 0.
        largest_rate: η_c of each law.
        critical_batch_size: B_c of each law.
        steepness: Of each law, the factor on the steepness.
        slope: Of the learning curve at the level; its steepness is 0 at the target.
    """
    exponent = slope.exponent
    weight = 1.0 / np.maximum(1.0, slope.steepness * steepness)
    result: Array = (learning_rate / batch_size) * (
        exponent * weight * critical_batch_size / largest_rate
    )
    beyond = result - _WALL
    np.minimum(result, _WALL, out=result)
    np.negative(result, out=result)
    np.log1p(result, out=result)
    np.maximum(beyond, 0.0, out=beyond)
    beyond *= 1 / (1 - _WALL)
    beyond -= result
    beyond *= 1 / exponent
    beyond += learning_rate / largest_rate
    return beyond
