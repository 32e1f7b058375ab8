"""Peak bytes of a training step as a convex curve in the micro-batch size.

    b      micro-batch, samples
    f(b)   peak bytes of a step
    M      budget, bytes

For a fixed model and sample shape, f is the maximum of a few straight lines in b (the peaks of
the forward pass, of the backward pass and of the optimizer step), so it is convex. Convexity
gives two bounds from points that are known: a chord between two of them lies above the curve,
and a line through two of them, drawn on to the right, lies below it. The walk to the budget
needs no more than that, and knows when it has arrived.

But only nearly straight: each storage takes whole blocks, and what CUDA's allocator reserves
grows a segment at a time. The lines say where to look; once close, only a known point is
trusted to fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

FIRST_SIZES = (2, 16)
"""Where a walk begins. Not 1: batch normalisation cannot train on one sample."""

LARGEST_SIZE = 1 << 20
"""Where a walk ends at the latest: no step is better for being larger than that."""

_TOLERANCE = 0.002
"""Relative width of the bracket around the answer at which a walk may stop."""

_MOST_CHORD_POINTS = 8
"""Lines have arrived by then, unless blocks make steps of them; then halving is quicker."""


@dataclass(frozen=True, slots=True)
class MemoryCurve:
    """Known points of f.

    Attributes:
        points: Peak bytes by micro-batch size; at least one.
        is_drawn_on: Whether the last line counts beyond the largest known point, where to know
            another would mean to run what may not fit.
    """

    points: Mapping[int, int]
    is_drawn_on: bool = False

    def peak_bytes(self, size: int) -> int:
        """Return f at ``size``: known, on the chord between neighbours, or on the last line.

        Between known points this is an upper bound; beyond them it is a lower bound.
        """
        if size in self.points:
            return self.points[size]
        below, above = self._neighbours(size)
        value = self.points[below] + self._slope(below, above) * (size - below)
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
            return min(LARGEST_SIZE, low + int(room / slope)) if slope > 0 else LARGEST_SIZE
        if high is None or high - low <= _bracket(low):
            return low
        room = budget_bytes - self.points[low]
        return min(high - 1, low + int(room / self._slope(low, high)))

    def next_size(self, budget_bytes: float) -> int | None:
        """Return the next size to learn f at; None when the largest that fits is known.

        Args:
            budget_bytes: M.
        """
        fitting = sorted(size for size, peak in self.points.items() if peak <= budget_bytes)
        high = self._smallest_misfit(budget_bytes)
        if not fitting:
            return None if high == 1 else max(1, min(self.points) // 4)
        low = fitting[-1]
        if high is not None and high - low <= _bracket(low):
            return None
        if low >= LARGEST_SIZE:
            return None
        if len(fitting) < 2:
            return max(low + 1, 8 * low if high is None else self.largest_fit(budget_bytes))
        slope = self._slope(fitting[-2], low)
        if slope > 0 and self.points[low] + slope > budget_bytes:
            return None  # By convexity the next size takes at least one more slope.
        if high is not None:
            chord = self.largest_fit(budget_bytes)
            is_slow = len(self.points) > _MOST_CHORD_POINTS
            return chord if chord > low and not is_slow else (low + high) // 2
        if slope <= 0:
            return min(LARGEST_SIZE, 8 * low)
        room = budget_bytes - self.points[low]
        return min(LARGEST_SIZE, low + max(1, int(room / slope)))

    def _smallest_misfit(self, budget_bytes: float) -> int | None:
        return min((b for b, peak in self.points.items() if peak > budget_bytes), default=None)

    def _neighbours(self, size: int) -> tuple[int, int]:
        known = sorted(self.points)
        if len(known) == 1:
            return known[0], known[0]
        index = min(max(1, sum(1 for b in known if b < size)), len(known) - 1)
        return known[index - 1], known[index]

    def _slope(self, left: int, right: int) -> float:
        if left == right:
            # One point: all of it may grow with b, which is the safe thing to think.
            return self.points[left] / left
        return (self.points[right] - self.points[left]) / (right - left)


def _bracket(size: int) -> float:
    return max(1, _TOLERANCE * size)
