"""The gradient noise scale, from gradient norms at two batch sizes.

    symbol  meaning                                          unit
    G       true gradient                                    –
    Σ       covariance of the per-sample gradient            –
    𝓑       simple noise scale tr(Σ)/‖G‖²                    samples
    B_s     batch size of one micro-batch                    samples
    B_b     batch size of one step                           samples
    |G_s|²  mean squared norm of a micro-batch's gradient    –
    |G_b|²  mean squared norm of a step's gradient           –

McCandlish et al., arXiv 1812.06162, appendix A:

    ‖G‖²  = (B_b·|G_b|² − B_s·|G_s|²) / (B_b − B_s)
    tr(Σ) = (|G_s|² − |G_b|²) / (1/B_s − 1/B_b)

Both are averaged over steps before they are divided, since the ratio of noisy figures is biased.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.estimators.quantiles import Z_80


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScaleTuning:
    """Tuned numbers of ``estimate_noise_scale``.

    Attributes:
        max_interval_factor: Factor, above 1, from 𝓑 to the end of its interval beyond which the
            interval is not informative and is left out. Rule of thumb, not tuned.
    """

    max_interval_factor: float = 100.0

    def __post_init__(self) -> None:
        """Refuse a factor that no interval keeps to.

        Raises:
            ValueError: ``max_interval_factor`` is not above 1.
        """
        if not self.max_interval_factor > 1:
            raise ValueError("max_interval_factor must be above 1")


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
        return None if self.interval is None else math.log(self.interval[1] / self.value) / Z_80


def estimate_noise_scale(
    small_batch_size: int,
    big_batch_size: int,
    small_squared_norms: Sequence[float],
    big_squared_norms: Sequence[float],
    *,
    tuning: NoiseScaleTuning = NoiseScaleTuning(),
) -> NoiseScale | None:
    """Return 𝓑 with a jackknife interval over steps; None when the norms do not determine it.

    Args:
        small_batch_size: B_s, at least 1.
        big_batch_size: B_b, above B_s.
        small_squared_norms: |G_s|² of each step.
        big_squared_norms: |G_b|² of each step, as many.
        tuning: How wide an interval may be.

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
    return _with_interval(value, left_out, tuning.max_interval_factor)


def _with_interval(value: float, left_out: Sequence[float], max_factor: float) -> NoiseScale:
    """Return ``value`` with the interval that leaving out each step in turn gives.

    On the logarithm: 𝓑 is positive and its error is a factor, not a difference.
    """
    if value <= 0 or not all(0 < x < math.inf for x in left_out):
        return NoiseScale(value, None)
    logs = [math.log(x) for x in left_out]
    count = len(logs)
    mean = sum(logs) / count
    variance = (count - 1) / count * sum((x - mean) ** 2 for x in logs)
    half_width = Z_80 * math.sqrt(variance)
    if half_width > math.log(max_factor):
        return NoiseScale(value, None)
    factor = math.exp(half_width)
    return NoiseScale(value, (value / factor, value * factor))
