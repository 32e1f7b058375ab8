"""Neighbours of the best trial: a step in batch or rate, lower rates and larger batches first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.planning.trials.ranking import Ranking
from advisor.planning.tuning.suggestion import NeighboursTuning
from advisor.ports.proposer import Point


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where proposals may lie, inclusive.

    Attributes:
        smallest_batch_size: Least effective batch.
        largest_batch_size: Greatest effective batch.
        smallest_multiplier: Least multiplier of the rule's learning rate.
        largest_multiplier: Greatest.
    """

    smallest_batch_size: int
    largest_batch_size: int
    smallest_multiplier: float
    largest_multiplier: float

    def within(self, batch_size: int) -> int:
        """Return the batch size, or the bound that it lies beyond."""
        return max(self.smallest_batch_size, min(batch_size, self.largest_batch_size))


def next_neighbour(ranking: Ranking, bounds: Bounds) -> Point | None:
    """Return a neighbour of the best trial that was not tried; None when all were.

    Args:
        ranking: Of every trial so far.
        bounds: Where proposals may lie.
    """
    trials, tuning = ranking.trials.all, ranking.trials.view.tuning.trials.neighbours
    best = ranking.best_of(trials).point
    half_steps = {
        "batch_factor": math.sqrt(tuning.batch_factor),
        "multiplier_factor": math.sqrt(tuning.multiplier_factor),
    }
    for batch_factor, multiplier_factor in _factors(tuning):
        point = Point(
            effective_batch_size=bounds.within(round(best.effective_batch_size * batch_factor)),
            lr_multiplier=best.lr_multiplier * multiplier_factor,
        )
        if not any(begun.is_near(point, **half_steps) for begun in ranking.trials.begun):
            return point
    return None


def _factors(tuning: NeighboursTuning) -> tuple[tuple[float, float], ...]:
    """Return the factors to each neighbour, in batch and in multiplier, those to try first first.

    Those of lower noise, by rate or by batch, come before their opposites.
    """
    batch, multiplier = tuning.batch_factor, tuning.multiplier_factor
    return (
        (1, 1 / multiplier),
        (batch, 1),
        (1, multiplier),
        (1 / batch, 1),
        (batch, 1 / multiplier),
        (1 / batch, multiplier),
    )
