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

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


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


@dataclass(frozen=True, kw_only=True)
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
        diluted = 0.5 * np.log1p(self.noise_scale / batch_size) - np.log(learning_rate)
        result: Array = self.log_slowdown(batch_size, learning_rate, slope) + diluted
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
        return log_slowdown_of(
            batch_size,
            learning_rate,
            self.largest_rate,
            self.critical_batch_size,
            self.steepness,
            slope or Slope(steepness=0.0, exponent=self.exponent),
            self.max_noise_share,
        )

    @cached_property
    def at_target(self) -> ScalingLaw:
        """The same at the target, where the steepness is 1: laws that differ in it alone are one.

        They follow one another, as the steepness is the last axis of the grid that was fitted.
        """
        begins = _begins(self.largest_rate, self.critical_batch_size, self.noise_scale)
        return replace(
            self,
            probabilities=np.add.reduceat(self.probabilities, begins),
            largest_rate=self.largest_rate[begins],
            critical_batch_size=self.critical_batch_size[begins],
            noise_scale=self.noise_scale[begins],
            steepness=np.ones(len(begins)),
        )

    @cached_property
    def columns(self) -> tuple[ScalingLaw, Places]:
        """The laws that differ in more than 𝓑, on which the slowdown does not depend.

        Returns:
            One law for each that follows one another, and the place of each law's own among them.
        """
        begins = _begins(self.largest_rate, self.critical_batch_size, self.steepness)
        lengths = np.diff(np.append(begins, len(self.probabilities)))
        one_of_each = replace(
            self,
            probabilities=np.add.reduceat(self.probabilities, begins),
            largest_rate=self.largest_rate[begins],
            critical_batch_size=self.critical_batch_size[begins],
            noise_scale=self.noise_scale[begins],
            steepness=self.steepness[begins],
        )
        return one_of_each, np.repeat(np.arange(len(begins)), lengths)

    def mean(self, values: Array) -> Array:
        """Return the expectation of a value that each law gives, along the last axis."""
        result: Array = values @ self.probabilities
        return result


def _begins(*parameters: Array) -> Places:
    """Return the places of laws that differ from the law before them; the first does."""
    differ = np.any([np.diff(values) != 0 for values in parameters], axis=0)
    return np.flatnonzero(np.concatenate([[True], differ]))


def log_slowdown_of(
    batch_size: float | Array,
    learning_rate: float | Array,
    largest_rate: Array,
    critical_batch_size: Array,
    steepness: Array,
    slope: Slope,
    max_noise_share: float,
) -> Array:
    """Return the last two terms of ln k; arguments broadcast.

    Args:
        batch_size: B, above 0.
        learning_rate: η, above 0.
        largest_rate: η_c of each law.
        critical_batch_size: B_c of each law.
        steepness: Of each law, the factor on the steepness.
        slope: Of the learning curve at the level; its steepness is 0 at the target.
        max_noise_share: See ``ScalingLaw``.
    """
    weight = slope.exponent / np.maximum(1.0, slope.steepness * steepness)
    with np.errstate(over="ignore"):  # A share beyond all numbers is infinite, and so is ln k.
        share = learning_rate / batch_size * (weight * critical_batch_size / largest_rate)
        slowdown: Array = log_noise_slowdown(share, slope.exponent, max_noise_share)
        slowdown += learning_rate / largest_rate
    return slowdown


def log_noise_slowdown(share: Array, exponent: float | Array, max_noise_share: float) -> Array:
    """Return the last term of ln k.

    Args:
        share: α·w·η/η_c·B_c/B, the share of a level that noise makes up; it is overwritten.
        exponent: α.
        max_noise_share: See ``ScalingLaw``.
    """
    np.negative(share, out=share)
    if share.min(initial=0.0) < -max_noise_share:
        within = np.maximum(share, -max_noise_share)
        share -= within
        share *= 1 / (1 - max_noise_share)
        share += np.log1p(within, out=within)
    else:
        np.log1p(share, out=share)
    share *= -1 / exponent
    return share
