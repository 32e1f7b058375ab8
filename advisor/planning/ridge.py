"""Structured proposals: along the learning-rate rule, before a sampler is asked.

Good settings lie on a ridge: along the optimizer's scaling rule, batches over a factor of
eight are about as good as each other, while a learning rate four times off the ridge costs two
to six times the time. So first the learning rate is bracketed at one batch, which finds the
ridge, and then batches are tried along it. A bracket is closed when the best value has a worse
neighbour on either side, or the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from advisor.planning.trials import Trial, is_better
from advisor.ports.proposer import Point

_NEAR = 1.2
"""Values within this factor of each other are the same rung of a bracket."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where proposals may lie, inclusive.

    Attributes:
        smallest_batch_size: Least effective batch.
        largest_batch_size: Greatest effective batch.
        smallest_multiplier: Least multiplier of the rule's learning rate.
        largest_multiplier: Greatest.
        multiplier_factor: Ratio of neighbouring multipliers while bracketing.
        batch_factor: Ratio of neighbouring batches while bracketing.
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


def next_on_ridge(trials: Sequence[Trial], centre: int, bounds: Bounds) -> Point | None:
    """Return the next setting of the two brackets; None when both are closed.

    Args:
        trials: Every trial so far.
        centre: The batch at which the learning rate is bracketed.
        bounds: Where proposals may lie.
    """
    at_centre = [t for t in trials if _near(t.point.effective_batch_size, centre)]
    if not at_centre:
        return Point(effective_batch_size=centre, lr_multiplier=1.0)
    multiplier = _next_in_bracket(
        at_centre,
        lambda trial: trial.point.lr_multiplier,
        bounds.multiplier_factor,
        (bounds.smallest_multiplier, bounds.largest_multiplier),
    )
    if multiplier is not None:
        return Point(effective_batch_size=centre, lr_multiplier=multiplier)
    best = _best(at_centre)
    on_ridge = [t for t in trials if _near(t.point.lr_multiplier, best.point.lr_multiplier)]
    batch_size = _next_in_bracket(
        on_ridge,
        lambda trial: trial.point.effective_batch_size,
        bounds.batch_factor,
        (bounds.smallest_batch_size, bounds.largest_batch_size),
    )
    if batch_size is None:
        return None
    return Point(
        effective_batch_size=bounds.round_batch_size(batch_size),
        lr_multiplier=best.point.lr_multiplier,
    )


def _next_in_bracket(
    trials: Sequence[Trial],
    value: Callable[[Trial], float],
    factor: float,
    limits: tuple[float, float],
) -> float | None:
    """Return the untried neighbour of the best value, upwards first; None when closed."""
    best = value(_best(trials))
    for neighbour in (best * factor, best / factor):
        inside = limits[0] / _NEAR <= neighbour <= limits[1] * _NEAR
        between = sorted((best, neighbour))
        tried = any(
            between[0] * 1.001 < value(t) < between[1] / 1.001 or _near(value(t), neighbour)
            for t in trials
        )
        if inside and not tried:
            return min(max(neighbour, limits[0]), limits[1])
    return None


def _best(trials: Sequence[Trial]) -> Trial:
    best = trials[0]
    for trial in trials[1:]:
        if is_better(trial, best):
            best = trial
    return best


def _near(left: float, right: float) -> bool:
    return max(left, right) <= _NEAR * min(left, right)
