"""Structured proposals: along the learning-rate rule, before a sampler is asked.

Good settings lie on a ridge: along the optimizer's scaling rule, batches over a factor of
eight are about as good as each other, while a learning rate four times off the ridge costs two
to six times the time. So first the learning rate is bracketed at the reference batch, which
finds the ridge; then batches are tried along it, the one that the noise scale points to first.

A bracket grows while its best value is at an end, the faster the longer it has been growing,
and is then closed by halving its gaps until the best value's neighbours are near.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from advisor.planning.ranking import Ranking
from advisor.planning.trials import Trial
from advisor.ports.proposer import Point

_NEAR = 1.2
"""Values within this factor of each other count as the same."""

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
        multiplier_factor: Ratio of neighbouring multipliers when the bracket is closed.
        batch_factor: Ratio of neighbouring batches when the bracket is closed.
        multiple: Every batch is a multiple of this.
    """

    smallest_batch_size: int
    largest_batch_size: int
    smallest_multiplier: float
    largest_multiplier: float
    multiplier_factor: float
    batch_factor: float
    multiple: int

    def round_batch_size(self, batch_size: float) -> int:
        """Return the nearest batch size that is allowed."""
        step = self.multiple
        if batch_size >= 64 * step:
            step *= 8
        rounded = max(step, round(batch_size / step) * step)
        return max(self.smallest_batch_size, min(rounded, self.largest_batch_size))


def next_on_ridge(ranking: Ranking, bounds: Bounds, predicted_batch_size: int) -> Point | None:
    """Return the next setting of the two brackets; None when both are closed.

    Args:
        ranking: Of every trial so far, the reference first.
        bounds: Where proposals may lie.
        predicted_batch_size: The batch to try first once the learning rate is bracketed.
    """
    trials = ranking.trials.all
    centre = trials[0].point.effective_batch_size
    if not bounds.smallest_batch_size <= centre <= bounds.largest_batch_size:
        centre = predicted_batch_size
    at_centre = [t for t in trials if _near(t.point.effective_batch_size, centre)]
    if not at_centre:
        return Point(effective_batch_size=centre, lr_multiplier=1.0)
    multiplier = _next_in_bracket(
        ranking,
        at_centre,
        lambda trial: trial.point.lr_multiplier,
        bounds.multiplier_factor,
        (bounds.smallest_multiplier, bounds.largest_multiplier),
    )
    if multiplier is not None:
        return Point(effective_batch_size=centre, lr_multiplier=multiplier)
    best = ranking.best_of(at_centre).point.lr_multiplier
    on_ridge = [t for t in trials if _near(t.point.lr_multiplier, best)]
    if not any(_near(t.point.effective_batch_size, predicted_batch_size) for t in on_ridge):
        return Point(effective_batch_size=predicted_batch_size, lr_multiplier=best)
    batch_size = _next_in_bracket(
        ranking,
        on_ridge,
        lambda trial: trial.point.effective_batch_size,
        bounds.batch_factor,
        (bounds.smallest_batch_size, bounds.largest_batch_size),
    )
    if batch_size is None:
        return None
    return Point(effective_batch_size=bounds.round_batch_size(batch_size), lr_multiplier=best)


def next_at_rate(
    ranking: Ranking, bounds: Bounds, scaled_rate: Callable[[int], float]
) -> Point | None:
    """Return a larger batch at the best trial's own rate; None when it was tried.

    The rule ends where the rate becomes too large for the loss's curvature. A larger batch at
    the same rate still averages noise away.

    Args:
        ranking: Of every trial so far.
        bounds: Where proposals may lie.
        scaled_rate: What the rule gives for a batch, at multiplier 1.
    """
    trials = ranking.trials.all
    best = ranking.best_of(trials)
    size = bounds.round_batch_size(best.point.effective_batch_size * bounds.batch_factor)
    point = Point(effective_batch_size=size, lr_multiplier=best.learning_rate / scaled_rate(size))
    is_tried = any(
        _near(t.point.effective_batch_size, size)
        and _near(t.point.lr_multiplier, point.lr_multiplier)
        for t in trials
    )
    return None if is_tried or _near(size, best.point.effective_batch_size) else point


def next_beside(ranking: Ranking, bounds: Bounds) -> Point | None:
    """Return a setting beside the best trial that was not tried; None when all were.

    Args:
        ranking: Of every trial so far.
        bounds: Where proposals may lie.
    """
    trials = ranking.trials.all
    point = ranking.best_of(trials).point
    for batch_factor, multiplier_factor in _BESIDE:
        size = bounds.round_batch_size(point.effective_batch_size * batch_factor)
        multiplier = point.lr_multiplier * multiplier_factor
        if not any(
            _near_by(t.point.effective_batch_size, size, math.sqrt(_BESIDE_BATCH))
            and _near_by(t.point.lr_multiplier, multiplier, math.sqrt(_BESIDE_MULTIPLIER))
            for t in trials
        ):
            return Point(effective_batch_size=size, lr_multiplier=multiplier)
    return None


def _next_in_bracket(
    ranking: Ranking,
    trials: Sequence[Trial],
    value: Callable[[Trial], float],
    factor: float,
    limits: tuple[float, float],
) -> float | None:
    """Return the next value to try; None when the bracket is closed."""
    best = value(ranking.best_of(trials))
    above = sorted(value(t) for t in trials if value(t) > best * 1.001)
    below = sorted((value(t) for t in trials if value(t) < best / 1.001), reverse=True)
    for taken, others, direction in ((above, below, 1), (below, above, -1)):
        if not taken:
            # At this end of the bracket: on by one factor, or two if that is where we come from.
            step = factor ** (direction * (2 if len(others) > 1 else 1))
            target = min(max(best * step, limits[0]), limits[1])
            if not _near(target, best):
                return target
    for nearest in (above[:1], below[:1]):
        if nearest and not _near_by(nearest[0], best, factor * _NEAR):
            return math.sqrt(nearest[0] * best)
    return None


def _near(left: float, right: float) -> bool:
    return _near_by(left, right, _NEAR)


def _near_by(left: float, right: float, factor: float) -> bool:
    return max(left, right) <= factor * min(left, right)
