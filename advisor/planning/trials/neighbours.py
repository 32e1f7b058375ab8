"""Settings beside the best: a step in batch or rate at a time, the cooler ones first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.planning.trials.ranking import Ranking
from advisor.ports.proposer import Point

_BESIDE_BATCH = 2.0
_BESIDE_MULTIPLIER = 1.7
_BESIDE = (
    (1, 1 / _BESIDE_MULTIPLIER),
    (_BESIDE_BATCH, 1),
    (1, _BESIDE_MULTIPLIER),
    (1 / _BESIDE_BATCH, 1),
    (_BESIDE_BATCH, 1 / _BESIDE_MULTIPLIER),
    (1 / _BESIDE_BATCH, _BESIDE_MULTIPLIER),
)
"""Factors from a setting to those beside it, in batch and in multiplier; the cooler first."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where proposals may lie, inclusive.

    Attributes:
        smallest_batch_size: Least effective batch.
        largest_batch_size: Greatest effective batch.
        smallest_multiplier: Least multiplier of the rule's learning rate.
        largest_multiplier: Greatest.
        multiple: Every batch is a multiple of this.
    """

    smallest_batch_size: int
    largest_batch_size: int
    smallest_multiplier: float
    largest_multiplier: float
    multiple: int

    def round_batch_size(self, batch_size: float) -> int:
        """Return the nearest batch size that is allowed."""
        step = self.multiple
        if batch_size >= 64 * step:
            step *= 8
        rounded = max(step, round(batch_size / step) * step)
        return max(self.smallest_batch_size, min(rounded, self.largest_batch_size))


def next_beside(ranking: Ranking, bounds: Bounds) -> Point | None:
    """Return a setting beside the best trial that was not tried; None when all were.

    Args:
        ranking: Of every trial so far.
        bounds: Where proposals may lie.
    """
    trials = ranking.trials.all
    best = ranking.best_of(trials).point
    half_steps = {
        "batch_factor": math.sqrt(_BESIDE_BATCH),
        "multiplier_factor": math.sqrt(_BESIDE_MULTIPLIER),
    }
    for batch_factor, multiplier_factor in _BESIDE:
        point = Point(
            effective_batch_size=bounds.round_batch_size(best.effective_batch_size * batch_factor),
            lr_multiplier=best.lr_multiplier * multiplier_factor,
        )
        if not any(begun.is_near(point, **half_steps) for begun in ranking.trials.begun):
            return point
    return None
