"""What trainings say of the laws on a grid: their log likelihood, factored along its axes.

Notation is that of ``ridge_law``. A grid is the product of four axes, η_c, B_c, 𝓑 and the factor on
the steepness. ln k of a setting is a sum of a part that knows of 𝓑 alone, and of one that knows of
the other three: each is computed on its own points, and only their sum on all of them. A point of
those three is a *column*; it has as many laws as the axis of 𝓑 has points.

Every term lowers a log likelihood. So a column that lies far below what some law has been shown to
reach in the end can be left out before all terms are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.estimators.ridge_law import Array, Setting, Slope, heat_of

MISFIT = 0.15
"""Deviation of ln k from the law at many steps; at k steps there is 1/k more, and the lag over k:
a training from rest that has momentum takes that long to move as fast as the law says."""
_FAR = 1.0
"""A square misfit counts for no more than this one: laws end somewhere."""

_PARTS = 4
"""Levels are gone through in so many parts, after each of which columns are left out."""
_HOPELESS = 45.0
"""In ln of the likelihood: e to the power −45 is below a double's precision beside 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A loss, and which trainings came down to it.

    Attributes:
        steps: k by the setting's number, at least 1, of those that did.
        missed: Steps taken in vain by the setting's number, of those that did not.
        slope: Of the learning curve there.
    """

    steps: Mapping[int, float]
    missed: Mapping[int, float]
    slope: Slope

    @property
    def compares(self) -> bool:
        """Whether it compares any two settings."""
        return bool(self.steps) and len(self.steps) + len(self.missed) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LawGrid:
    """The axes of a grid of laws.

    Attributes:
        largest_rates: η_c, shape (R,).
        critical_batch_sizes: B_c, samples, shape (B,).
        noise_scales: 𝓑, samples, shape (N,).
        steepnesses: Factors on every level's steepness, shape (S,).
    """

    largest_rates: Array
    critical_batch_sizes: Array
    noise_scales: Array
    steepnesses: Array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """R, B, N and S."""
        return (
            len(self.largest_rates),
            len(self.critical_batch_sizes),
            len(self.noise_scales),
            len(self.steepnesses),
        )

    def by_column(self, logs: Array) -> Array:
        """Return values of shape (R, B, N, S) as they are by column, shape (N, R·B·S)."""
        return np.moveaxis(logs, 2, 0).reshape(len(self.noise_scales), -1)

    def by_axis(self, logs: Array) -> Array:
        """Return values of shape (N, R·B·S) as they are by axis, shape (R, B, N, S)."""
        rates, sizes, noises, slopes = self.shape
        return np.moveaxis(logs.reshape(noises, rates, sizes, slopes), 0, 2)

    def columns(self) -> Array:
        """Return η_c, B_c and steepness of every column, shape (3, R·B·S)."""
        axes = (self.largest_rates, self.critical_batch_sizes, self.steepnesses)
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])


@dataclass(frozen=True, slots=True)
class _Trained:
    """The settings at one level.

    Attributes:
        settings: B and η of each, shape (2, settings); those that reached the level come first.
        log_steps: ln k of each.
        precisions: Of ln k, each.
        reached: How many reached the level.
        slope: Of the learning curve there.
    """

    settings: Array
    log_steps: Array
    precisions: Array
    reached: int
    slope: Slope


def add_likelihoods(
    logs: Array,
    grid: LawGrid,
    settings: Sequence[Setting],
    levels: Sequence[Level],
    weights: Mapping[int, float],
    lag: float,
) -> Array:
    """Return the log likelihood of each law, shape (R, B, N, S); −inf where it is negligible.

    Args:
        logs: What is known of each law without the levels, of that shape.
        grid: The laws.
        settings: What was trained.
        levels: Losses that they came down to, by their numbers in ``settings``.
        weights: What a level counts for by the setting's number.
        lag: Steps by which trainings from rest are behind the flow, at least 0.
    """
    trained = [_trained(settings, level, weights, lag) for level in levels]
    parts = [trained[part::_PARTS] for part in range(_PARTS)]
    columns, sums = grid.columns(), grid.by_column(logs)
    alive = np.arange(columns.shape[1])
    for number, part in enumerate(parts, start=1):
        sums = sums + _sum(part, columns, grid.noise_scales)
        best = [int(sums.max(axis=0).argmax())]
        rest = [level for later in parts[number:] for level in later]
        reachable = (sums[:, best] + _sum(rest, columns[:, best], grid.noise_scales)).max()
        kept = sums.max(axis=0) >= reachable - _HOPELESS
        alive, columns, sums = alive[kept], columns[:, kept], sums[:, kept]
    whole = np.full((len(grid.noise_scales), math.prod(grid.shape) // sums.shape[0]), -np.inf)
    whole[:, alive] = sums
    return grid.by_axis(whole)


def _trained(
    settings: Sequence[Setting], level: Level, weights: Mapping[int, float], lag: float
) -> _Trained:
    numbers = [*level.steps, *level.missed]
    counts = np.array([*level.steps.values(), *level.missed.values()])
    reached = len(level.steps)
    errors = (lag / counts) ** 2
    errors[:reached] += 1 / counts[:reached] ** 2
    return _Trained(
        settings=np.array([(settings[n].batch_size, settings[n].learning_rate) for n in numbers]).T,
        log_steps=np.log(counts),
        precisions=np.array([weights[n] for n in numbers]) / (MISFIT**2 + errors),
        reached=reached,
        slope=level.slope,
    )


def _sum(levels: Sequence[_Trained], columns: Array, noise_scales: Array) -> Array:
    """Return what levels say of each law, shape (N, columns)."""
    result = np.zeros((len(noise_scales), columns.shape[1]))
    for level in levels:
        result -= 0.5 * _misfit(level, columns, noise_scales)
    return result


def _misfit(level: _Trained, columns: Array, noise_scales: Array) -> Array:
    """Return the weighted squares by which settings are off at one level, shape (N, columns).

    ln s is whatever fits those best that reached the level; the others can only be too slow.
    """
    sizes, rates = level.settings[:, :, None]
    largest_rates, critical_batch_sizes, steepnesses = columns
    heat = heat_of(sizes, rates, largest_rates, critical_batch_sizes, steepnesses, level.slope)
    by_column = (level.log_steps[:, None] + np.log(rates)) - heat
    by_noise = -0.5 * np.log1p(noise_scales / sizes)
    reached, precisions = level.reached, level.precisions
    shares = precisions[:reached] / precisions[:reached].sum()
    by_column -= shares @ by_column[:reached]
    by_noise -= shares @ by_noise[:reached]
    off = by_column[:, None, :] + by_noise[:, :, None]
    np.maximum(off[reached:], 0.0, out=off[reached:])
    np.square(off, out=off)
    np.minimum(off, _FAR, out=off)
    result: Array = (precisions @ off.reshape(len(off), -1)).reshape(off.shape[1:])
    return result
