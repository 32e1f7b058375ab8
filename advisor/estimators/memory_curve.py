"""Peak bytes of a training step as a convex curve in the micro-batch size.

    symbol  meaning                  unit
    b       micro-batch size         samples
    f(b)    peak memory of a step    bytes
    M       budget                   bytes

For a fixed model and sample shape, f is the maximum of a few straight lines in b (the peaks of
the forward pass, of the backward pass and of the optimizer step), so it is convex. Convexity
gives two bounds from points that are known: a chord between two of them lies above the curve,
and a line through two of them, extrapolated to the right, lies below it. The search for the largest
size within the budget needs no more than these bounds, and stops where they meet.

Where samples are compared with each other, pieces of f hold powers of b above 1. Polynomials whose
coefficients are not negative, and their maxima, are convex in log f over log b too: between two
points f lies below a·b^k as well, which for k above 1 is below the chord, often far below.

But the lines are only nearly straight: each storage takes whole blocks, and what CUDA's allocator
reserves grows a segment at a time. The lines give the next size to measure; close to the budget,
only a known point is trusted to fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_LEAST_POWER = 1.01
"""The k above which a·b^k is followed: of a line through the origin, k is 1 but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurveTuning:
    """Numbers of the search for the largest size that fits.

    ``python -m benchmarks.memory`` compares the sizes that it finds with those that really fit.

    Attributes:
        first_sizes: The first two sizes to learn f at, samples, rising, at least 1. Not 1 by
            default, as batch normalisation cannot train on one sample. Rule of thumb, not tuned.
        largest_size: Where the search ends at the latest, samples: no real batch is larger. Rule of
            thumb, not tuned.
        growth: Factor, above 1, to the next size while nothing bounds it: it takes at most a few
            traces from the first sizes to any budget. Rule of thumb, not tuned.
        shrink: Divisor, above 1, of a size while none is known to fit. Rule of thumb, not tuned.
        tolerance: Relative width of the bracket around the largest size, from 0 to below 1, at
            which the search may stop. Blocks and segments make f uncertain by about as much.
        max_chord_points: Known sizes, at least 2, after which the bracket is halved instead of
            following chords, which converge slowly where f has steps. Rule of thumb, not tuned.
    """

    first_sizes: tuple[int, int] = (2, 16)
    largest_size: int = 1 << 20
    growth: int = 8
    shrink: int = 4
    tolerance: float = 0.002
    max_chord_points: int = 8

    def __post_init__(self) -> None:
        """Refuse a search that would not end.

        Raises:
            ValueError: A value is out of its range.
        """
        if not 1 <= self.first_sizes[0] < self.first_sizes[1] <= self.largest_size:
            raise ValueError("first_sizes must rise, from at least 1 to at most largest_size")
        if min(self.growth, self.shrink) < 2:
            raise ValueError("growth and shrink must be at least 2")
        if not 0 <= self.tolerance < 1:
            raise ValueError("tolerance must be from 0 to below 1")


@dataclass(frozen=True, slots=True)
class MemoryCurve:
    """Known points of f.

    Attributes:
        points: Peak bytes by micro-batch size; at least one.
        is_drawn_on: Whether to extrapolate the last line beyond the largest known point, where to
            know another would mean to run a step that may not fit.
        tuning: Of the search for the largest size.
    """

    points: Mapping[int, int]
    is_drawn_on: bool = False
    tuning: MemoryCurveTuning = MemoryCurveTuning()

    def peak_bytes(self, size: int) -> int:
        """Return f at ``size``: known, on the chord between neighbours, or on the last line.

        Between known points this is an upper bound; beyond them it is a lower bound.
        """
        if size in self.points:
            return self.points[size]
        below, above = self._neighbours(size)
        value = self.points[below] + self._slope(below, above) * (size - below)
        power = self._power(below, above)
        if below < size < above and power > _LEAST_POWER:
            value = min(value, self.points[below] * (size / below) ** power)
        return max(0, math.ceil(value))

    def largest_fit(self, budget_bytes: float) -> int:
        """Return the largest b that fits, f(b) <= M; 0 when none is known to.

        Between the largest known size that fits and the smallest that does not, the chord is
        trusted, which errs on the safe side. Where the two are close, only the known size is:
        blocks and segments then weigh as much as what is left to gain.
        """
        fitting = [size for size, peak in self.points.items() if peak <= budget_bytes]
        if not fitting:
            return 0
        low = max(fitting)
        high = self._smallest_misfit(budget_bytes)
        if high is None and self.is_drawn_on:
            slope = self._slope(*self._neighbours(low + 1))
            room = budget_bytes - self.points[low]
            largest = self.tuning.largest_size
            return min(largest, low + int(room / slope)) if slope > 0 else largest
        if high is None or high - low <= self._bracket(low):
            return low
        room = budget_bytes - self.points[low]
        size = low + int(room / self._slope(low, high))
        power = self._power(low, high)
        if power > _LEAST_POWER:
            size = max(size, int(low * (budget_bytes / self.points[low]) ** (1 / power)))
        return min(high - 1, size)

    def next_size(self, budget_bytes: float) -> int | None:
        """Return the next size to learn f at; None when the largest that fits is known.

        Args:
            budget_bytes: M.
        """
        tuning = self.tuning
        fitting = sorted(size for size, peak in self.points.items() if peak <= budget_bytes)
        high = self._smallest_misfit(budget_bytes)
        if not fitting:
            return None if high == 1 else max(1, min(self.points) // tuning.shrink)
        low = fitting[-1]
        if high is not None and high - low <= self._bracket(low):
            return None
        if low >= tuning.largest_size:
            return None
        if len(fitting) < 2:
            farther = tuning.growth * low if high is None else self.largest_fit(budget_bytes)
            return max(low + 1, farther)
        slope = self._slope(fitting[-2], low)
        if slope > 0 and self.points[low] + slope > budget_bytes:
            return None  # By convexity the next size takes at least one more slope.
        if high is not None:
            chord = self.largest_fit(budget_bytes)
            is_slow = len(self.points) > tuning.max_chord_points
            if chord <= low and self._power(low, high) > _LEAST_POWER:
                chord = low + int(self._bracket(low))  # The power was right: high is near.
            return chord if chord > low and not is_slow else (low + high) // 2
        if slope <= 0:
            return min(tuning.largest_size, tuning.growth * low)
        room = budget_bytes - self.points[low]
        return min(tuning.largest_size, low + max(1, int(room / slope)))

    def _bracket(self, low: int) -> float:
        """Return the width of a bracket from ``low`` at which the search may stop, samples."""
        return max(1, self.tuning.tolerance * low)

    def _smallest_misfit(self, budget_bytes: float) -> int | None:
        return min((b for b, peak in self.points.items() if peak > budget_bytes), default=None)

    def _neighbours(self, size: int) -> tuple[int, int]:
        known = sorted(self.points)
        if len(known) == 1:
            return known[0], known[0]
        index = min(max(1, sum(1 for b in known if b < size)), len(known) - 1)
        return known[index - 1], known[index]

    def _power(self, left: int, right: int) -> float:
        """Return k of the a·b^k through two points; 0 where there is none."""
        if left == right or min(self.points[left], self.points[right]) <= 0:
            return 0.0
        return math.log(self.points[right] / self.points[left]) / math.log(right / left)

    def _slope(self, left: int, right: int) -> float:
        if left == right:
            # One point: all of it may grow with b, which is the safe assumption.
            return self.points[left] / left
        return (self.points[right] - self.points[left]) / (right - left)
