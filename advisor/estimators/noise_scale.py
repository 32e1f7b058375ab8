"""The gradient noise scale, from gradient norms at two batch sizes.

    G       true gradient
    Σ       covariance of the per-sample gradient
    𝓑       simple noise scale tr(Σ)/‖G‖², samples
    B_s     samples of one micro-batch, B_b samples of one step
    |G_s|²  mean squared norm of a micro-batch's gradient, |G_b|² that of the step's

McCandlish et al., arXiv 1812.06162, appendix A:

    ‖G‖²  = (B_b·|G_b|² − B_s·|G_s|²) / (B_b − B_s)
    tr(Σ) = (|G_s|² − |G_b|²) / (1/B_s − 1/B_b)

Both are averaged over steps before they are divided, since the ratio of noisy figures is biased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z_80 = 1.2816
"""Half-width of a normal 80 % interval, in standard deviations."""

_WIDEST = math.log(100)
"""An interval wider than this factor either way says nothing."""


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """A measured noise scale.

    Attributes:
        value: 𝓑, samples, at least 0.
        interval: Its 80 % interval, samples; None when the steps were too few to bound it.
    """

    value: float
    interval: tuple[float, float] | None

    @property
    def log_deviation(self) -> float | None:
        """The standard deviation of ln 𝓑; None when it is not bounded."""
        return None if self.interval is None else math.log(self.interval[1] / self.value) / _Z_80


def estimate_noise_scale(
    small_batch_size: int,
    big_batch_size: int,
    small_squared_norms: Sequence[float],
    big_squared_norms: Sequence[float],
) -> NoiseScale | None:
    """Return 𝓑 with a jackknife interval over steps; None when it cannot be told.

    Args:
        small_batch_size: B_s, at least 1.
        big_batch_size: B_b, above B_s.
        small_squared_norms: |G_s|² of each step.
        big_squared_norms: |G_b|² of each step, as many.

    Raises:
        ValueError: The batch sizes are not in order, or the lengths differ.
    """
    if not 1 <= small_batch_size < big_batch_size:
        raise ValueError("small_batch_size must be at least 1 and below big_batch_size")
    pairs = list(zip(small_squared_norms, big_squared_norms, strict=True))
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if len(pairs) < 2:
        return None
    small_sum = sum(small for small, _ in pairs)
    big_sum = sum(big for _, big in pairs)

    def ratio(small: float, big: float) -> float:
        squared_gradient = (big_batch_size * big - small_batch_size * small) / (
            big_batch_size - small_batch_size
        )
        trace = (small - big) / (1 / small_batch_size - 1 / big_batch_size)
        if squared_gradient <= 0:
            return math.inf
        return max(0.0, trace / squared_gradient)

    value = ratio(small_sum, big_sum)
    if not math.isfinite(value):
        return None
    left_out = [ratio(small_sum - small, big_sum - big) for small, big in pairs]
    return _with_interval(value, left_out)


def _with_interval(value: float, left_out: Sequence[float]) -> NoiseScale:
    """Return ``value`` with the interval that leaving out each step in turn gives.

    On the logarithm: 𝓑 is positive and its error is a factor, not a difference.
    """
    if value <= 0 or not all(0 < x < math.inf for x in left_out):
        return NoiseScale(value, None)
    logs = [math.log(x) for x in left_out]
    count = len(logs)
    mean = sum(logs) / count
    variance = (count - 1) / count * sum((x - mean) ** 2 for x in logs)
    half_width = _Z_80 * math.sqrt(variance)
    if half_width > _WIDEST:
        return NoiseScale(value, None)
    factor = math.exp(half_width)
    return NoiseScale(value, (value / factor, value * factor))
