"""A loss against modelled time, and when it reaches a target.

    symbol  meaning                                                  unit
    t       modelled time of training                                s
    L(t)    lowest loss evaluated until t                            loss
    D(t)    slope of the learning curve, −dL/d ln t                  loss

Between evaluations a loss is interpolated along a line in ln t. A *span* is a difference of ln t.
"""

from __future__ import annotations

import bisect
import math
import operator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_CLEARLY = 1e-9
"""Losses that differ by a larger share of themselves differ by more than rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurveTuning:
    """Tuned numbers of ``LearningCurve``.

    They were chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay WORKLOAD…`` prints the time to target that they lead to, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any.

    Attributes:
        points_per_doubling: Points, at least 1, at which a mean over a doubling of time is taken.
            Numerical resolution, not tuned.
        averaged_evaluations: Consecutive evaluations, at least 1, whose mean must be at the target
            for it to count as reached, so that noise of one evaluation does not count.
        slope_span_before: Span of the chord of ``slopes_at`` before its time, above 0.
        slope_span_after: Span of that chord after its time, at least 0: shorter, since the curve
            flattens.
        min_slope_span: Span, at least 0, below which that chord is taken from before its end alone.
        end_slope_span: Span of the chord of ``end_slope`` and ``slope_until``, above 0.
        min_end_slope_span: Span, above 0, below which these return nothing.
    """

    points_per_doubling: int = 4
    averaged_evaluations: int = 3
    slope_span_before: float = 0.5
    slope_span_after: float = 0.35
    min_slope_span: float = 0.15
    end_slope_span: float = 1.0
    min_end_slope_span: float = 0.3

    def __post_init__(self) -> None:
        """Refuse means of nothing and chords without a length.

        Raises:
            ValueError: A value is out of its range.
        """
        if min(self.points_per_doubling, self.averaged_evaluations) < 1:
            raise ValueError("points_per_doubling and averaged_evaluations must be at least 1")
        if min(self.slope_span_after, self.min_slope_span) < 0:
            raise ValueError("spans must be at least 0")
        if not min(self.slope_span_before, self.end_slope_span, self.min_end_slope_span) > 0:
            raise ValueError("slope_span_before and the spans of end slopes must be above 0")


@dataclass(frozen=True)
class LearningCurve:
    """L(t) at a few points.

    Attributes:
        times_s: Modelled seconds, rising, above 0.
        losses: Loss at each; not nan.
        tuning: What means and slopes are taken over.
    """

    times_s: tuple[float, ...]
    losses: tuple[float, ...]
    tuning: LearningCurveTuning = LearningCurveTuning()

    def __post_init__(self) -> None:
        if len(self.times_s) != len(self.losses) or not self.times_s:
            raise ValueError("times_s and losses must be of one length above 0")
        if self.times_s[0] <= 0:
            raise ValueError("times_s must be above 0")
        if not all(map(operator.lt, self.times_s, self.times_s[1:])):
            raise ValueError("times_s must rise")

    @cached_property
    def best_loss(self) -> float:
        """The lowest loss evaluated."""
        return min(self.losses)

    @cached_property
    def _lowest(self) -> tuple[float, ...]:
        """The lowest loss up to each point; none rises."""
        return tuple(accumulate(self.losses, min))

    @cached_property
    def _highest_left(self) -> tuple[float, ...]:
        """The negated highest loss from each point on; none falls."""
        return tuple(-loss for loss in accumulate(reversed(self.losses), max))[::-1]

    def best_until(self, time_s: float) -> float:
        """Return the lowest loss evaluated up to a modelled second."""
        return self._lowest[max(0, bisect.bisect_right(self.times_s, time_s) - 1)]

    @property
    def end_s(self) -> float:
        """The modelled second of the last evaluation."""
        return self.times_s[-1]

    def loss_at(self, time_s: float) -> float:
        """Return the loss at a modelled second, interpolated between evaluations."""
        index = bisect.bisect_left(self.times_s, time_s)
        if index == 0:
            return self.losses[0]
        if index == len(self.times_s):
            return self.losses[-1]
        left_s, right_s = self.times_s[index - 1], self.times_s[index]
        share = math.log(time_s / left_s) / math.log(right_s / left_s)
        left, right = self.losses[index - 1], self.losses[index]
        return left + share * (right - left) if math.isfinite(left) else right

    def smoothed_at(self, time_s: float) -> float:
        """Return the mean loss over the last doubling of time before ``time_s``.

        One evaluation is noisy, the more so the larger the learning rate; curves are compared by
        this mean.
        """
        losses = [self.loss_at(time_s / factor) for factor in self._smoothing_factors]
        return sum(losses) / len(losses)

    def smooth(self) -> LearningCurve:
        """Return the curve of means over each evaluation and those before it, three by default.

        One evaluation that is low by chance does not reach a target. The first point, the untrained
        model, is in no mean but its own.
        """
        count = self.tuning.averaged_evaluations
        means = [self.losses[0]]
        for index in range(1, len(self.losses)):
            window = self.losses[max(1, index + 1 - count) : index + 1]
            means.append(sum(window) / len(window))
        return replace(self, losses=tuple(means))

    def left_behind_s(self, losses: Array) -> Array:
        """Return the modelled second since which the loss has been at or below each of some.

        nan where it is above, and where the curve begins at or below it already.
        """
        times_s, seen = self._times_s, self._losses
        # The last point above it is the last from which on the highest loss is above it.
        last = np.searchsorted(self._highest_left, -losses) - 1
        is_between = (last >= 0) & (last + 1 < len(seen))
        index = np.where(is_between, last, 0)
        after = np.minimum(index + 1, len(seen) - 1)
        height = seen[index] - losses
        with np.errstate(invalid="ignore"):  # From one infinite loss to the next: nan.
            depth = seen[index] - seen[after]
        is_between &= np.isfinite(depth)  # What falls from an infinite loss falls at no rate.
        share = np.divide(height, depth, out=np.zeros_like(losses), where=is_between)
        found: Array = times_s[index] * (times_s[after] / times_s[index]) ** share
        return np.where(is_between, found, np.nan)

    def below_since_s(self, loss: float) -> float | None:
        """Return a second after which every loss is clearly below ``loss``; None if all are.

        It is the end where that is never so.
        """
        least = loss - _CLEARLY * (abs(loss) + abs(self.best_loss))
        index = bisect.bisect_right(self._highest_left, -least)
        return None if index == 0 else self.times_s[min(index, len(self.times_s) - 1)]

    def slopes_at(self, times_s: Array) -> Array:
        """Return −dL/d ln t at some modelled seconds, at least 0; 0 where the curve is too short.

        It is the slope of a chord about the second, which averages over noise.
        """
        now = np.log(times_s)
        first, last = math.log(self.times_s[0]), math.log(self.end_s)
        begin, end = (
            np.maximum(now - self.tuning.slope_span_before, first),
            np.minimum(now + self.tuning.slope_span_after, last),
        )
        begin = np.where(
            end - begin < self.tuning.min_slope_span,
            np.maximum(end - self.tuning.slope_span_before, first),
            begin,
        )
        length = np.maximum(end - begin, 0.0)
        high, low = self._lowest_until(np.exp(np.stack([begin, end])))
        with np.errstate(invalid="ignore"):  # From one infinite loss to the next: nan.
            fall = high - low
        slopes: Array = np.divide(fall, length, out=np.zeros_like(fall), where=length > 0)
        return slopes

    def _lowest_until(self, times_s: Array) -> Array:
        """Return L at some seconds, between evaluations along a line in log time."""
        before = np.maximum(np.searchsorted(self._times_s, times_s, side="right") - 1, 0)
        lowest: Array = np.minimum(self._lowest_losses[before], self._losses_at(times_s))
        return lowest

    def _losses_at(self, times_s: Array) -> Array:
        """Return what ``loss_at`` does, at several seconds."""
        right = np.searchsorted(self._times_s, times_s)
        left, right = np.maximum(right - 1, 0), np.minimum(right, len(self.losses) - 1)
        begins_s, ends_s, high = self._times_s[left], self._times_s[right], self._losses[left]
        share = np.log(times_s / begins_s) / np.log(np.where(left < right, ends_s / begins_s, 2.0))
        share = np.where(left < right, share, 0.0)
        with np.errstate(invalid="ignore"):
            along = high + share * (self._losses[right] - high)
        losses: Array = np.where(np.isfinite(high), along, self._losses[right])
        return losses

    @cached_property
    def _lowest_losses(self) -> Array:
        return np.minimum.accumulate(self._losses)

    @cached_property
    def _times_s(self) -> Array:
        return np.array(self.times_s)

    @cached_property
    def _losses(self) -> Array:
        return np.array(self.losses)

    @cached_property
    def _smoothing_factors(self) -> tuple[float, ...]:
        count = self.tuning.points_per_doubling
        return tuple(2 ** (part / count) for part in range(count + 1))

    def end_slope(self) -> float | None:
        """Return D over the last part of the curve; None where it is too short."""
        return self.slope_until(self.end_s)

    def slope_until(self, time_s: float) -> float | None:
        """Return D over the last part before a modelled second, as ``end_slope`` does."""
        tuning = self.tuning
        last = math.log(time_s)
        begin = max(last - tuning.end_slope_span, math.log(self.times_s[0]))
        return None if last - begin < tuning.min_end_slope_span else self._fall(begin, last)

    def _fall(self, begin: float, end: float) -> float | None:
        if end <= begin:
            return None
        high, low = (self.lowest_until(math.exp(at)) for at in (begin, end))
        return (high - low) / (end - begin)

    def lowest_until(self, time_s: float) -> float:
        """Return L at a modelled second, interpolated between evaluations."""
        return min(self.best_until(time_s), self.loss_at(time_s))

    def time_to(self, target: float) -> float | None:
        """Return the modelled second at which L first reaches ``target``; None if never."""
        if self.losses[0] <= target:
            return self.times_s[0]
        best = self.losses[0]
        for index in range(1, len(self.losses)):
            loss = self.losses[index]
            if loss <= target:
                share = (best - target) / (best - loss) if math.isfinite(best) else 1.0
                return _between(self.times_s[index - 1], self.times_s[index], share)
            best = min(best, loss)
        return None


def _between(start_s: float, end_s: float, share: float) -> float:
    return start_s * math.pow(end_s / start_s, share)
