"""The scaling model: optimizer steps to a loss as a function of batch size and learning rate.

    symbol  meaning                                                               unit
    B       effective batch size                                                  samples
    η       learning rate; (B, η) is a setting                                    –
    ℓ       level: a loss that trainings come down to                             loss
    k       optimizer steps of a setting to ℓ                                     steps
    s(ℓ)    sum of rates to ℓ along the gradient flow; unknown, and the same      –
            for all settings
    𝓑       noise scale at which half of an adaptive optimizer's step is noise    samples
    η_c     rate that curvature allows                                            –
    B_c     batch size at which noise costs as much as curvature                  samples
    D(ℓ)    slope of the learning curve, −dℓ/d ln k                               loss
    w(ℓ)    D at the target over D(ℓ), at most 1                                  –
    α(ℓ)    exponent of the learning curve as a power law, D/ℓ                    –

    ln k = ln s(ℓ) − ln η + ½·ln(1 + 𝓑/B) + η/η_c − ln(1 − α·w·η/η_c·B_c/B)/α

The first two terms are the flow: while rates are small, the loss depends on the sum of rates alone.
The third is an adaptive optimizer's: it divides by √(G² + Σ/B), so that noise shortens its steps
(Li et al., arXiv 2405.14578); it is absent from SGD. The last two are the *slowdown*. Rates near
η_c gain less than in proportion. And gradient noise keeps the loss above the flow's by about η/B
(Zhang et al., arXiv 1907.04164): more steps make up for that, the more of them the flatter the
curve has become, and where the noise alone exceeds the level, none do. For a loss that falls as k
to the power −α that comes to the last term, which is w·η/η_c·B_c/B while it is small.

Two things follow while it is. The best rate at a batch is η_c/(1 + B_c/B), and at that rate steps
go with 1 + B_c/B: McCandlish's η(B) and S(B), arXiv 1812.06162. And settings of high η/B look best
early, where curves are steep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


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

    steepness: float
    exponent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLaw:
    """Scaling laws and the probability of each: a distribution over the law's unknowns.

    Attributes:
        probabilities: Of each law, shape (laws,) as all arrays here; their sum is 1.
        largest_rate: η_c of each.
        critical_batch_size: B_c of each at the target, samples.
        noise_scale: 𝓑 of each, samples; 0 where the optimizer is not adaptive.
        steepness: Of each, a factor on the steepness of every level: D at the target is unsure.
        exponent: α at the target.
        max_noise_share: Share of a level that noise may make up, above 0 and below 1, before the
            last term goes on along its tangent: beyond it a setting hardly ever reaches the level,
            and must still be worse the higher its η/B.
    """

    probabilities: Array
    largest_rate: Array
    critical_batch_size: Array
    noise_scale: Array
    steepness: Array
    exponent: float
    max_noise_share: float

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
        slowdown = self.log_slowdown(batch_size, learning_rate, slope)
        result: Array = diluted - np.log(learning_rate) + slowdown
        return result

    def log_slowdown(
        self, batch_size: float | Array, learning_rate: float | Array, slope: Slope | None = None
    ) -> Array:
        """Return what curvature and gradient noise add to ln k by each law: the last two terms.

        Args:
            batch_size: B, above 0; an array has a last axis of length 1.
            learning_rate: η, above 0, likewise.
            slope: Of the learning curve at the level; None at the target.
        """
        weight: float | Array = 1.0
        exponent = self.exponent
        if slope is not None:
            weight = np.minimum(1.0, 1.0 / (slope.steepness * self.steepness))
            exponent = slope.exponent
        rate = learning_rate / self.largest_rate
        share = exponent * weight * rate * self.critical_batch_size / batch_size
        most = self.max_noise_share
        lost = -np.log1p(-np.minimum(share, most)) + np.maximum(0.0, share - most) / (1 - most)
        result: Array = rate + lost / exponent
        return result

    def mean(self, values: Array) -> Array:
        """Return the expectation of a value that each law gives, along the last axis."""
        result: Array = values @ self.probabilities
        return result
