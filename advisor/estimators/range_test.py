"""A learning rate from a range test: where training was still stable while the rate grew.

    ηᵢ   learning rate of step i, growing by the factor g with each step
    Lᵢ   training loss before step i
    β    decay of the smoothing, d/(1 + d)
    d    delay of the smoothing, steps: the mean age of what it averages, β/(1 − β)
    sᵢ   smoothed loss, (1 − β)·Σⱼ βʲ·L₍ᵢ₋ⱼ₎ / (1 − βⁱ⁺¹)
    σ    standard deviation of the noise of L

The test is Smith's, arXiv 1506.01186; the smoothing's start is corrected as Adam's moments are
(Kingma and Ba, arXiv 1412.6980). The smoothed loss falls, is least, and turns up for good. The
least lags behind the rate that it is owed to: by d steps, and by those that a step needs to be
seen in the loss and an instability to grow. The rate so many steps before is called the largest
stable one.

The best constant rate lies below it: a training does not pass through a rate, it stays there. On
the four workloads that the rule was made with it was a quarter of the largest stable rate within
a factor of three, where the test had 80 steps or more. On four that were left aside it was so
within three for three of them; for one, with RMSprop, the suggestion was seven times too small.
With fewer than about 60 steps the rate grows faster than the loss can answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_MOST_DELAY_STEPS = 8.0
_MOST_DELAY = 0.8
"""The smoothing delays by so many steps, and by the logarithm of this factor in the rate."""
_ANSWER_STEPS = 2
"""Steps until a rate that is too large shows."""

_QUIET_SHARE = 0.25
"""Share of the steps, the first, at which the rate is too small to do anything."""
_LEAST_STEPS = 16
_LEAST_FALL = 3.0
"""The loss must fall by this many standard deviations: those of the smoothed loss and of the
median that it falls from."""

_HEADROOM = 4.0
"""Largest stable over suggested rate."""


@dataclass(frozen=True, slots=True)
class RangeEstimate:
    """What a range test says.

    Attributes:
        largest_stable_rate: η at which the smoothed loss was least, its lag taken off.
        suggested_rate: Where to begin a search.
        interval: Where the best constant rate is expected, the suggested rate in its middle.
    """

    largest_stable_rate: float
    suggested_rate: float
    interval: tuple[float, float]


def estimate_range(
    learning_rates: Sequence[float], losses: Sequence[float]
) -> RangeEstimate | None:
    """Return what a range test says; None when the loss did not fall by more than its noise.

    Args:
        learning_rates: ηᵢ, above 0, each the same factor above the one before.
        losses: Lᵢ; what comes after one that is not finite is left out.

    Raises:
        ValueError: The lengths differ, or the rates do not rise.
    """
    pairs = list(zip(learning_rates, losses, strict=True))
    if any(not 0 < left < right for left, right in itertools.pairwise(learning_rates)):
        raise ValueError("learning_rates must be above 0 and rise")
    pairs = list(itertools.takewhile(lambda pair: math.isfinite(pair[1]), pairs))
    if len(pairs) < _LEAST_STEPS:
        return None
    rates = [rate for rate, _ in pairs]
    growth = math.log(rates[-1] / rates[0]) / (len(rates) - 1)
    delay_steps = min(_MOST_DELAY_STEPS, _MOST_DELAY / growth)
    quiet = int(_QUIET_SHARE * len(pairs))
    smoothed = _smoothed_if_it_fell([loss for _, loss in pairs], quiet, delay_steps)
    if smoothed is None:
        return None
    least = min(range(quiet, len(smoothed)), key=smoothed.__getitem__)
    lag = math.exp(growth * (delay_steps + _ANSWER_STEPS))
    stable = max(rates[0], rates[least] / lag)
    suggested = stable / _HEADROOM
    return RangeEstimate(
        largest_stable_rate=stable,
        suggested_rate=suggested,
        interval=(suggested / _HEADROOM, stable),
    )


def _smoothed_if_it_fell(
    losses: Sequence[float], quiet: int, delay_steps: float
) -> list[float] | None:
    """Return the smoothed losses; None when they did not fall by more than their noise."""
    first = median(losses[:quiet])
    # One loss that is far out must not hide the fall around it.
    ceiling = first + max(0.0, first - min(losses))
    smoothed = smooth([min(loss, ceiling) for loss in losses], delay_steps)
    fall = first - min(smoothed[quiet:])
    noise = _deviation(losses[:quiet]) * math.sqrt(1 / (1 + 2 * delay_steps) + math.pi / 2 / quiet)
    return smoothed if fall > max(_LEAST_FALL * noise, 1e-9 * abs(first)) else None


def _deviation(losses: Sequence[float]) -> float:
    """Return σ of losses about a level that changes slowly, whatever a few of them are.

    Neighbours differ by √2·σ, and the median of |x| of a normal variable is its σ over 1.4826.
    """
    return 1.4826 / math.sqrt(2) * median(abs(b - a) for a, b in itertools.pairwise(losses))


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
