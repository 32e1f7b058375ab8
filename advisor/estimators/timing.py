"""Step times: medians with their intervals, the curve over b, and its knee.

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

import math
from bisect import bisect_left
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


def median_interval(values: Sequence[float], level: float = 0.8) -> tuple[float, float]:
    """Return a distribution-free interval of the median, from order statistics.

    The number of values below the median is binomial with p = 1/2, whatever the distribution.
    With few values the interval is the whole range, and covers less than ``level``.

    Args:
        values: At least one measured value.
        level: Probability with which the interval should hold the median, in (0, 1).
    """
    ordered = sorted(values)
    count = len(ordered)
    tail = 0.0
    rank = 0
    for rank in range(count // 2 + 1):
        tail += _share_of_binomial(count, rank)
        if tail > (1 - level) / 2:
            break
    rank = min(max(rank - 1, 0), (count - 1) // 2)
    return ordered[rank], ordered[count - 1 - rank]


def _share_of_binomial(count: int, rank: int) -> float:
    """Return the probability of ``rank`` of ``count`` fair coins, in constant time."""
    log_ways = math.lgamma(count + 1) - math.lgamma(rank + 1) - math.lgamma(count - rank + 1)
    return math.exp(log_ways - count * math.log(2))


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
