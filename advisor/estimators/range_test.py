"""A learning rate from a range test: where training was still stable while the rate grew.

    symbol  meaning                                                                     unit
    ηᵢ      learning rate of step i, growing by the factor g with each step             –
    Lᵢ      training loss before step i                                                 loss
    β       decay of the smoothing, d/(1 + d)                                           –
    d       delay of the smoothing: the mean age of what it averages, β/(1 − β)         steps
    sᵢ      smoothed loss, (1 − β)·Σⱼ βʲ·L₍ᵢ₋ⱼ₎ / (1 − βⁱ⁺¹)                            loss
    σ       standard deviation of the noise of L                                        loss

The test is Smith's, arXiv 1506.01186; the smoothing's start is corrected as Adam's moments are
(Kingma and Ba, arXiv 1412.6980). The smoothed loss falls, reaches its minimum, and rises for good.
The minimum lags behind the rate that causes it: by d steps, and by those until a step shows in the
loss and an instability has grown. The rate that many steps earlier is called the largest stable
one.

The best constant rate lies below it, since a training stays at a rate instead of passing through
it. On the four workloads that the rule was derived from it was a quarter of the largest stable rate
within a factor of three, where the test had 80 steps or more. On four that were held out it was so
within three for three of them; for one, with RMSprop, the suggestion was seven times too small.
With fewer than about 60 steps the rate grows faster than the loss can respond.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from advisor.estimators.quantiles import DEVIATION_PER_MAD

_ROUNDING = 1e-9
"""A fall of a smaller share of the first loss may be rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTestTuning:
    """Tuned numbers of ``estimate_range``.

    They were chosen on range tests of four workloads and tried on four others (see above);
    tests/estimators/test_range_test.py holds them to noisy quadratics whose best constant rate is
    known. No benchmark isolates a single field.

    Attributes:
        max_delay_steps: The most that d may be, steps, at least 0.
        max_log_delay: The most that ln η may grow while the smoothing delays, at least 0.
        response_steps: Steps from a rate that is too large until the loss rises; at least 0.
        baseline_share: Share of the steps, the first, above 0 and below 1, at which the rate is too
            small to change the loss: its level and its noise are measured there.
        min_steps: Steps below which nothing is returned; at least 2/``baseline_share``, so that the
            baseline has a noise.
        min_fall_deviations: Standard deviations of smoothed loss and baseline together that the
            loss must fall by, at least 0.
        rate_margin: Largest stable rate over the suggested one, above 1; also the suggested one
            over the lower end of the interval.
    """

    max_delay_steps: float = 8.0
    max_log_delay: float = 0.8
    response_steps: int = 2
    baseline_share: float = 0.25
    min_steps: int = 16
    min_fall_deviations: float = 3.0
    rate_margin: float = 4.0

    def __post_init__(self) -> None:
        """Refuse a baseline without a noise, and an interval without a width.

        Raises:
            ValueError: A value is out of its range.
        """
        if min(self.max_delay_steps, self.max_log_delay, self.response_steps) < 0:
            raise ValueError("delays must be at least 0")
        if not 0 < self.baseline_share < 1:
            raise ValueError("baseline_share must be above 0 and below 1")
        if self.min_steps * self.baseline_share < 2:
            raise ValueError("min_steps must be at least 2/baseline_share")
        if self.min_fall_deviations < 0 or not self.rate_margin > 1:
            raise ValueError("min_fall_deviations must be at least 0, rate_margin above 1")


@dataclass(frozen=True, slots=True)
class RangeEstimate:
    """The result of a range test.

    Attributes:
        largest_stable_rate: η at which the smoothed loss was least, its lag taken off.
        suggested_rate: Where to begin a search.
        interval: Where the best constant rate is expected, the suggested rate in its middle.
    """

    largest_stable_rate: float
    suggested_rate: float
    interval: tuple[float, float]


def estimate_range(
    learning_rates: Sequence[float],
    losses: Sequence[float],
    *,
    tuning: RangeTestTuning = RangeTestTuning(),
) -> RangeEstimate | None:
    """Return the rates of a range test; None when the loss did not fall by more than its noise.

    Args:
        learning_rates: ηᵢ, above 0, each the same factor above the one before.
        losses: Lᵢ; what comes after one that is not finite is left out.
        tuning: Smoothing, thresholds and the margin to the largest stable rate.

    Raises:
        ValueError: The lengths differ, or the rates do not rise.
    """
    pairs = list(zip(learning_rates, losses, strict=True))
    if any(not 0 < left < right for left, right in itertools.pairwise(learning_rates)):
        raise ValueError("learning_rates must be above 0 and rise")
    pairs = list(itertools.takewhile(lambda pair: math.isfinite(pair[1]), pairs))
    if len(pairs) < tuning.min_steps:
        return None
    rates = [rate for rate, _ in pairs]
    growth = math.log(rates[-1] / rates[0]) / (len(rates) - 1)
    delay_steps = min(tuning.max_delay_steps, tuning.max_log_delay / growth)
    baseline = int(tuning.baseline_share * len(pairs))
    smoothed = _smoothed_if_it_fell(
        [loss for _, loss in pairs], baseline, delay_steps, tuning.min_fall_deviations
    )
    if smoothed is None:
        return None
    least = min(range(baseline, len(smoothed)), key=smoothed.__getitem__)
    lag = math.exp(growth * (delay_steps + tuning.response_steps))
    stable = max(rates[0], rates[least] / lag)
    suggested = stable / tuning.rate_margin
    return RangeEstimate(
        largest_stable_rate=stable,
        suggested_rate=suggested,
        interval=(suggested / tuning.rate_margin, stable),
    )


def _smoothed_if_it_fell(
    losses: Sequence[float], baseline: int, delay_steps: float, min_fall_deviations: float
) -> list[float] | None:
    """Return the smoothed losses; None when they did not fall by more than their noise."""
    first = median(losses[:baseline])
    # One outlier must not hide the fall around it.
    ceiling = first + max(0.0, first - min(losses))
    smoothed = smooth([min(loss, ceiling) for loss in losses], delay_steps)
    fall = first - min(smoothed[baseline:])
    # Variances over σ²: of an exponential mean, and of the median of so many normal variables.
    variance = 1 / (1 + 2 * delay_steps) + math.pi / 2 / baseline
    noise = _deviation(losses[:baseline]) * math.sqrt(variance)
    return smoothed if fall > max(min_fall_deviations * noise, _ROUNDING * abs(first)) else None


def _deviation(losses: Sequence[float]) -> float:
    """Return σ of losses about a level that changes slowly, unaffected by a few outliers.

    Neighbours differ by √2·σ, and their median absolute difference estimates that.
    """
    return (
        DEVIATION_PER_MAD / math.sqrt(2) * median(abs(b - a) for a, b in itertools.pairwise(losses))
    )


def smooth(losses: Sequence[float], delay_steps: float) -> list[float]:
    """Return the exponential means of ``losses`` up to each, as if there had been no start.

    Args:
        losses: Lᵢ, finite.
        delay_steps: d, at least 0; at 0 nothing is smoothed.
    """
    decay = delay_steps / (1 + delay_steps)
    mean = weight = 0.0
    smoothed = []
    for loss in losses:
        mean = decay * mean + (1 - decay) * loss
        weight = decay * weight + (1 - decay)
        smoothed.append(mean / weight)
    return smoothed
