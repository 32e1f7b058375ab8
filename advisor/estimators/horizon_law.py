"""The horizon law: the best batch size and peak rate as functions of the length of a training.

    symbol  meaning                                                              unit
    D       horizon: samples that a complete training sees, decay included       samples
    D₀      the horizon at which B₀ and η₀ are the best                          samples
    B, η    effective batch size; peak learning rate                             samples, –
    B*(D)   batch size of the lowest final loss                                  samples
    p       its exponent                                                         –
    B_k(D)  the knee, up to which the best rate rises with the batch size        samples
    δ       ln of it over B*(D)                                                  –
    q       exponent of the best rate in the batch size up to there              –
    r       exponent of the best rate in D, at one batch size up to there        –
    c       cost of a setting: ln of the factor of samples that the best         –
            setting saves at an equal final loss
    κ       curvature of c in ln η; a₋, a₊ of c in ln B below and above B*       –
    s       fall of the best final loss as ln D rises by 1, above 0              loss
    L       final loss; L*(D) that of the best setting                           loss

    B*(D) = B₀·(D/D₀)^p        B_k(D) = e^δ·B*(D)
    η*(B, D) = η₀·(D/D₀)^r·(min(B, B_k(D))/min(B₀, B_k(D₀)))^q
    c = κ·(ln η − ln η*(B, D))² + a∓·(ln B − ln B*(D))²
    L = L*(D) + s·c

Larger batches pay as trainings become longer (McCandlish et al., arXiv 1812.06162; Bergsma et al.,
2505.13738; Li et al., 2503.04715). The rate follows the batch up to the knee and not beyond. Small
batches lose samples as well while the other hyperparameters stay as they are: hence two arms. At
one batch below the knee the best rate goes with D^r, which falls; along the best batch it goes with
D^(r + pq), which may rise: published signs differ for that reason.

Several laws of equal weight are a distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from advisor.estimators.horizon_schedule import Schedule
from advisor.estimators.scaling_law import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonPoint:
    """A complete training, with its own warm-up and decay.

    Attributes:
        batch_size: B, above 0, samples.
        learning_rate: Peak η, above 0.
        samples: D, above 0.
        loss: Final held-out loss; infinite or not a number if it diverged.
        schedule: Its own.
        time_s: Seconds that it took, where it compares with others of equal time, and not of equal
            samples; ``None`` otherwise.
    """

    batch_size: float
    learning_rate: float
    samples: float
    loss: float
    schedule: Schedule
    time_s: float | None = None

    @property
    def rung(self) -> tuple[float, bool]:
        """What those that compare with it by their losses have in common, beside the schedule."""
        return (self.samples, False) if self.time_s is None else (self.time_s, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonLaw:
    """Laws of equal weight, each an element of the arrays, shape (laws,).

    Attributes:
        samples: D₀.
        log_batch_size: ln B₀.
        log_rate: ln η₀, of the schedule that is advised for.
        batch_exponent: p.
        log_knee: δ.
        rate_exponent: r.
        slope: q.
        rate_curvature: κ.
        small_batch_curvature: a₋.
        large_batch_curvature: a₊.
    """

    samples: float
    log_batch_size: Array
    log_rate: Array
    batch_exponent: Array
    log_knee: Array
    rate_exponent: Array
    slope: Array
    rate_curvature: Array
    small_batch_curvature: Array
    large_batch_curvature: Array

    def log_best_batch(self, samples: float | Array) -> Array:
        """Return ln B*(D) by each law.

        Args:
            samples: D, above 0; an array has a last axis of length 1.
        """
        result: Array = self.log_batch_size + self.batch_exponent * np.log(samples / self.samples)
        return result

    def log_best_rate(self, batch_size: float | Array, samples: float | Array) -> Array:
        """Return ln η*(B, D) by each law.

        Args:
            batch_size: B, above 0; an array has a last axis of length 1.
            samples: D, above 0, likewise.
        """
        carried = self.log_rate + self.rate_exponent * np.log(samples / self.samples)
        followed = np.minimum(np.log(batch_size), self.log_best_batch(samples) + self.log_knee)
        begun = self.log_batch_size + np.minimum(self.log_knee, 0.0)
        result: Array = carried + self.slope * (followed - begun)
        return result

    def cost(
        self, batch_size: float | Array, learning_rate: float | Array, samples: float | Array
    ) -> Array:
        """Return c by each law, at least 0.

        Args:
            batch_size: B, above 0; an array has a last axis of length 1.
            learning_rate: η, above 0, likewise.
            samples: D, above 0, likewise.
        """
        off_rate = np.log(learning_rate) - self.log_best_rate(batch_size, samples)
        off_batch = np.log(batch_size) - self.log_best_batch(samples)
        arm = np.where(off_batch < 0, self.small_batch_curvature, self.large_batch_curvature)
        result: Array = self.rate_curvature * off_rate**2 + arm * off_batch**2
        return result


def carried_factor(points: Sequence[HorizonPoint], samples: float) -> float:
    """Return how far the longest rung is carried: D over its horizon, at least 1.

    Args:
        points: Of the ladder; without any the factor is infinite.
        samples: D, above 0.
    """
    longest = max((point.samples for point in points), default=0.0)
    return max(1.0, samples / longest) if longest else math.inf
