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
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurveTuning:
    """Tuned numbers of ``LearningCurve``.

    They were chosen by hand on the ten development workloads of benchmarks/README.md.
    ``python -m benchmarks.replay`` prints the answers that the planner gives with them, and
    ``python -m benchmarks.answers --check`` whether a change of them changes any.

    Attributes:
        points_per_doubling: Points, at least 1, at which a mean over a doubling of time is taken.
            Numerical resolution, not tuned.
        averaged_evaluations: Consecutive evaluations, at least 1, whose mean must be at the target
            for it to count as reached, so that noise of one evaluation does not count.
        slope_span_before: Span of the chord of ``slope_at`` before its time, above 0.
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


@dataclass(frozen=True, slots=True)
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
        if any(a >= b for a, b in zip(self.times_s, self.times_s[1:], strict=False)):
            raise ValueError("times_s must rise")

    @property
    def best_loss(self) -> float:
        """The lowest loss evaluated."""
        return min(self.losses)

    def best_until(self, time_s: float) -> float:
        """Return the lowest loss evaluated up to a modelled second."""
        seen = [
            loss for at_s, loss in zip(self.times_s, self.losses, strict=True) if at_s <= time_s
        ]
        return min(seen, default=self.losses[0])

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
        count = self.tuning.points_per_doubling
        times_s = (time_s / 2 ** (part / count) for part in range(count + 1))
        return sum(map(self.loss_at, times_s)) / (count + 1)

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

    def left_behind_s(self, loss: float) -> float | None:
        """Return the modelled second since which the loss has been at or below ``loss``.

        None if it is above, and where the curve begins at or below it already.
        """
        above = [index for index, seen in enumerate(self.losses) if seen > loss]
        if not above or above[-1] + 1 == len(self.losses):
            return None
        index = above[-1]
        share = (self.losses[index] - loss) / (self.losses[index] - self.losses[index + 1])
        return _between(self.times_s[index], self.times_s[index + 1], share)

    def slope_at(self, time_s: float) -> float | None:
        """Return D at a modelled second, at least 0; None where the curve is too short.

        It is the slope of a chord about the second, which averages over noise.
        """
        tuning = self.tuning
        now = math.log(time_s)
        first, last = math.log(self.times_s[0]), math.log(self.end_s)
        begin, end = (
            max(now - tuning.slope_span_before, first),
            min(now + tuning.slope_span_after, last),
        )
        if end - begin < tuning.min_slope_span:
            begin = max(end - tuning.slope_span_before, first)
        return self._fall(begin, end)

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
