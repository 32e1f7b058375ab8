"""Step times: typical ones with their intervals, the curve over b, and its knee.

    symbol  meaning                                    unit
    b       micro-batch size                           samples
    t(b)    time of one step with one micro-batch      s
    t_opt   the optimizer's part of it                 s

Between measured sizes t is interpolated, not fitted: on real devices it has steps at tile and
cache sizes that no two-parameter line follows, and the ladder of sizes is dense enough. It is
first made non-decreasing, since a larger batch that took less time did so by chance (isotonic
regression by pooling adjacent violators).
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeTuning:
    """Tuned numbers of ``StepTimeCurve``.

    Attributes:
        knee_share: Share of the best samples/s, from 0 to below 1, that the smallest size at the
            knee may be short of. Rule of thumb, not tuned.
    """

    knee_share: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a share that every size, or none, keeps to.

        Raises:
            ValueError: ``knee_share`` is out of range.
        """
        if not 0 <= self.knee_share < 1:
            raise ValueError("knee_share must be from 0 to below 1")


@dataclass(frozen=True)
class StepTimeCurve:
    """t(b), from measured sizes.

    Attributes:
        step_times_s: Typical step time by micro-batch size; at least one.
        optimizer_time_s: t_opt.
        tuning: What the knee is.
    """

    step_times_s: Mapping[int, float]
    optimizer_time_s: float
    tuning: StepTimeTuning = StepTimeTuning()

    def step_time_s(self, size: int) -> float:
        """Return t at ``size``: interpolated, or extrapolated along the last segment."""
        sizes, times = self._monotone
        if size <= sizes[0] or len(sizes) == 1:
            # Below the smallest measured size a step costs what it does there; beyond a single
            # measured size, in proportion.
            return times[0] * max(1.0, size / sizes[0])
        index = min(bisect_left(sizes, size), len(sizes) - 1)
        left, right = sizes[index - 1], sizes[index]
        slope = (times[index] - times[index - 1]) / (right - left)
        return times[index - 1] + slope * (size - left)

    def accumulated_step_time_s(self, size: int, accumulation_steps: int) -> float:
        """Return the seconds of a step of ``accumulation_steps`` micro-batches of ``size``."""
        whole_s = self.step_time_s(size)
        optimizer_s = min(self.optimizer_time_s, whole_s)
        return accumulation_steps * (whole_s - optimizer_s) + optimizer_s

    def knee(self) -> int:
        """Return the smallest measured size within ``knee_share`` of the best samples/s."""
        rates = {size: size / self.step_time_s(size) for size in sorted(self.step_times_s)}
        best = max(rates.values())
        enough = (1 - self.tuning.knee_share) * best
        return next(size for size, rate in rates.items() if rate >= enough)

    @cached_property
    def _monotone(self) -> tuple[list[int], list[float]]:
        """The sizes, rising, and times that do not fall."""
        sizes = sorted(self.step_times_s)
        # Pool adjacent violators: blocks of (mean, width).
        blocks: list[tuple[float, int]] = []
        for size in sizes:
            mean, width = self.step_times_s[size], 1
            while blocks and blocks[-1][0] > mean:
                last_mean, last_width = blocks.pop()
                mean = (mean * width + last_mean * last_width) / (width + last_width)
                width += last_width
            blocks.append((mean, width))
        return sizes, [mean for mean, width in blocks for _ in range(width)]


def typical_time_s(times_s: Sequence[float]) -> float:
    """Return the lower quartile of at least one time.

    Other processes can only add to the time of a step, and on a busy machine they add to more than
    half of the steps. The quartile is still that of undisturbed ones, and varies less from one
    measurement to the next than the minimum would.
    """
    ordered = sorted(times_s)
    return ordered[(len(ordered) - 1) // 4]


def typical_interval_s(times_s: Sequence[float], level: float = 0.8) -> tuple[float, float]:
    """Return a distribution-free interval of the typical time, from order statistics.

    The number of times below the true quartile is binomial with p = 1/4, whatever the distribution.
    Where so few times were measured that none need lie below it, the interval reaches as far below
    the typical time as above, in proportion.

    Args:
        times_s: At least one time, above 0.
        level: Probability with which the interval should hold the quartile, in (0, 1).

    Returns:
        Two times, the typical one between them.
    """
    ordered, typical_s = sorted(times_s), typical_time_s(times_s)
    count, tail = len(ordered), (1 - level) / 2
    below = [_binomial(count, k, 0.25) for k in range(count + 1)]
    shares = list(itertools.accumulate(below))
    # At most `tail` that fewer than `low` lie below the quartile, or that `high` or more do.
    low = bisect_right(shares, tail)
    high = next(k for k, share in enumerate(shares, start=1) if share >= 1 - tail)
    high_s = max(ordered[min(high, count) - 1], typical_s)
    if low == 0:
        # The quotient may be rounded to above the typical time where both are alike.
        return min(typical_s, typical_s * typical_s / high_s) if high_s else 0.0, high_s
    return min(ordered[low - 1], typical_s), high_s


def _binomial(count: int, successes: int, chance: float) -> float:
    """Return the probability of just so many successes; by logarithms, as counts may be large."""
    failures = count - successes
    ways = math.lgamma(count + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    return math.exp(ways + successes * math.log(chance) + failures * math.log(1 - chance))
