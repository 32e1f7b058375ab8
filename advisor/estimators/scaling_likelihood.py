"""The log likelihood of trainings by the laws on a grid, factored along its axes.

Notation is that of ``scaling_law`` and ``scaling_fit``. A grid is the product of four axes, η_c,
B_c, 𝓑 and the factor on the steepness. ln k of a setting is a sum of a part that depends on 𝓑
alone, and of one that depends on the other three: each is computed on its own points, and only
their sum on all of them. A point of those three is a *column*; it has as many laws as the axis
of 𝓑 has points.

Every term lowers a log likelihood. So a column that lies far below what some law has been shown to
reach in the end can be left out before all terms are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.estimators.scaling_law import Array, Setting, Slope, log_noise_slowdown
from advisor.estimators.scaling_tuning import ScalingTuning

_FIRST_SHARE = 8
"""One level in so many shows which columns are negligible; half of the rest show it again."""
_NEGLIGIBLE = 37.0
"""In ln of the likelihood: e to the power −37 is below a double's precision beside 1."""
_BATCH_ROWS = 64
"""Pairs of a level and a setting that are computed together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A loss, and which trainings came down to it.

    Attributes:
        steps: k by the setting's number, at least 1, of those that did.
        missed: Steps taken by the setting's number, of those that did not.
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


class Trainings:
    """Trainings as arrays, so that grids of laws can be compared with them.

    Args:
        settings: What was trained.
        levels: Losses that settings came down to, by their numbers in ``settings``.
        weights: What a level counts for by the setting's number.
        lag: Steps by which trainings from rest are behind the flow, at least 0.
        tuning: Tolerances.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        levels: Sequence[Level],
        weights: Mapping[int, float],
        lag: float,
        tuning: ScalingTuning,
    ) -> None:
        self._tuning = tuning
        used = sorted({number for level in levels for number in (*level.steps, *level.missed)})
        values = [(settings[n].batch_size, settings[n].learning_rate) for n in used]
        self._sizes, self._rates = np.array(values, dtype=np.float64).reshape(-1, 2).T[:, :, None]
        row_of = {number: row for row, number in enumerate(used)}
        rest = [level for place, level in enumerate(levels) if place % _FIRST_SHARE]
        self._parts = [
            [_Batch(batch, row_of, weights, lag, tuning) for batch in _batches(part)]
            for part in (levels[::_FIRST_SHARE], rest[::2], rest[1::2])
        ]

    def log_likelihoods(self, logs: Array, grid: LawGrid) -> Array:
        """Return the log likelihood of each law, shape (R, B, N, S); −inf where negligible.

        Args:
            logs: What is known of each law otherwise, of that shape.
            grid: The laws.
        """
        columns, sums = grid.columns(), grid.by_column(logs)
        by_noise = -0.5 * np.log1p(grid.noise_scales / self._sizes)
        flow = np.log(self._rates) - self._rates / columns[0]
        first, *others = self._parts
        sums = sums - self._misfits(first, columns, flow, by_noise)
        best = [int(sums.max(axis=0).argmax())]
        rest = [batch for part in others for batch in part]
        left = self._misfits(rest, columns[:, best], flow[:, best], by_noise)
        least = (sums[:, best] - left).max() - _NEGLIGIBLE
        alive = np.arange(columns.shape[1])
        for part in others:
            kept = sums.max(axis=0) >= least
            alive, sums = alive[kept], sums[:, kept]
            columns, flow = columns[:, kept], flow[:, kept]
            sums -= self._misfits(part, columns, flow, by_noise)
        whole = np.full((sums.shape[0], math.prod(grid.shape) // sums.shape[0]), -np.inf)
        whole[:, alive] = sums
        return grid.by_axis(whole)

    def _misfits(
        self, batches: Sequence[_Batch], columns: Array, flow: Array, by_noise: Array
    ) -> Array:
        """Return half the weighted squares by which settings are off, shape (N, columns).

        Args:
            batches: The levels to sum over.
            columns: η_c, B_c and steepness of each.
            flow: ln η − η/η_c, shape (settings, columns).
            by_noise: What 𝓑 adds to ln k, negated, shape (settings, N).
        """
        result = np.zeros((by_noise.shape[1], columns.shape[1]))
        ratios = columns[1] / columns[0]
        farthest = math.sqrt(self._tuning.max_square_misfit)
        for batch in batches:
            n, level_of = batch.settings, batch.level_of
            units = ratios / np.maximum(1.0, batch.steepnesses * columns[2])
            shares = units[level_of]
            shares *= batch.exponents * self._rates[n] / self._sizes[n]
            off = flow[n]
            off += batch.log_steps
            off -= log_noise_slowdown(shares, batch.exponents, self._tuning.max_noise_share)
            dilutions = by_noise[n]
            # ln s is whatever fits those best that reached the level.
            off -= (batch.means @ off)[level_of]
            dilutions -= (batch.means @ dilutions)[level_of]
            result += _squares(off, dilutions, batch.precisions, batch.edges, farthest)
        result *= 0.5
        return result


def _batches(levels: Sequence[Level]) -> Iterator[list[Level]]:
    """Yield levels a few at a time: fewer calls, of arrays that still fit a processor's cache."""
    batch: list[Level] = []
    for level in levels:
        batch.append(level)
        if sum(len(one.steps) + len(one.missed) for one in batch) >= _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


class _Batch:
    """Some levels and the settings that each compares: a row for every pair of the two.

    Attributes:
        settings: The place of each row's setting among all.
        level_of: The place in the batch of each row's level.
        steepnesses: Of each level, shape (levels, 1).
        exponents: Of each row's level, shape (rows, 1).
        log_steps: ln k, shape (rows, 1).
        precisions: Of ln k, shape (rows,).
        means: Times values by row, their mean at each level over the settings that reached it.
        edges: How far too quick a setting can be, shape (rows, 1): not at all if it did not reach
            the level.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        row_of: Mapping[int, int],
        weights: Mapping[int, float],
        lag: float,
        tuning: ScalingTuning,
    ) -> None:
        rows = [
            (number, place, steps, is_reached)
            for place, level in enumerate(levels)
            for known, is_reached in ((level.steps, True), (level.missed, False))
            for number, steps in known.items()
        ]
        numbers, places, counts, reached = zip(*rows, strict=True)
        self.settings = np.array([row_of[number] for number in numbers])
        self.level_of = np.array(places)
        steps, has_reached = np.array(counts), np.array(reached)
        self.steepnesses = np.array([[level.slope.steepness] for level in levels])
        self.exponents = np.array([[level.slope.exponent] for level in levels])[self.level_of]
        self.log_steps = np.log(steps)[:, None]
        errors = (has_reached + lag**2) / steps**2
        self.precisions = np.array([weights[n] for n in numbers]) / (tuning.misfit**2 + errors)
        is_of = self.level_of == np.arange(len(levels))[:, None]
        sums = is_of * (self.precisions * has_reached)
        self.means = sums / sums.sum(axis=1, keepdims=True)
        self.edges = np.where(has_reached, -math.sqrt(tuning.max_square_misfit), 0.0)[:, None]


def _squares(
    by_column: Array, by_noise: Array, weights: Array, edges: Array, farthest: float
) -> Array:
    """Return the sum over rows of w·f(x + y) for all columns' x and noise scales' y.

    f(z) is the square of z, after z was brought between the row's edge and ``farthest``. Where all
    y of a row leave x + y between them, or beyond, the sum over rows is a product of matrices.

    Args:
        by_column: x, shape (rows, columns); it is overwritten.
        by_noise: y, shape (rows, N).
        weights: w, shape (rows,).
        edges: The least z, shape (rows, 1).
        farthest: The largest z, above 0.
    """
    low, high = by_noise.min(axis=1, keepdims=True), by_noise.max(axis=1, keepdims=True)
    middle, reach = (low + high) / 2, (high - low) / 2
    centred = np.add(by_column, middle, out=by_column)
    near = np.maximum(centred, edges)
    np.minimum(near, farthest, out=near)
    squares = weights @ np.square(near)
    result: Array = np.repeat(squares[None, :], by_noise.shape[1], axis=0)
    if by_noise.shape[1] == 1:
        return result
    # What is left is by how much each y is off the middle: nothing where x + y is flat in y.
    is_curved = (centred > edges + reach) & (centred < farthest - reach)
    is_sloped = (centred > edges - reach) & (centred < farthest + reach)
    between = np.flatnonzero(is_curved != is_sloped)
    changes = by_noise - middle
    if len(between):
        rows, places = np.divmod(between, centred.shape[1])
        values = changes.T.take(rows, axis=1)
        values += centred.take(between)
        np.maximum(values, edges.take(rows), out=values)
        np.minimum(values, farthest, out=values)
        np.square(values, out=values)
        values -= np.square(near.take(between))
        values *= weights.take(rows)
        for noise, row in enumerate(values):
            result[noise] += np.bincount(places, row, result.shape[1])
    curved = is_curved.astype(np.float64)
    weighted = weights[:, None] * changes
    result += (weighted * changes).T @ curved
    near *= curved
    result += 2 * weighted.T @ near
    return result
