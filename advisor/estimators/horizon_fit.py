"""Fits the horizon law to a ladder of complete short trainings.

The law's unknowns are normal before anything is trained. Losses move them by nonlinear least
squares (Gauss-Newton with Levenberg's damping), and the curvature of the sum of squares at its
minimum is the precision of the result. Losses are compared within a rung, of one schedule and one
horizon or time, so that the best loss of each rung cancels. After equal time c − ln D is compared.
The law then becomes 2n columns, n unknowns, at √n deviations to both sides along the axes of the
covariance: their mean and covariance are those of the normal distribution (sigma points, Julier &
Uhlmann, 1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from bsadvise.model.measurements import LogEstimate

from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint
from advisor.estimators.horizon_schedule import Schedule, peak_rate_factor
from advisor.estimators.horizon_tuning import HorizonTuning, NormalPrior
from advisor.estimators.scaling_law import Array

_MAX_STEPS = 60
_DAMPING = 1e-2
_CONVERGED = 1e-8
_DIFFERENCE = 1e-5
_LEAST_SLOPE = 0.1
"""Share of the usual slope below which two horizons' best losses differ by noise alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonGuess:
    """What is thought of the best setting before complete trainings were made.

    Attributes:
        samples: D₀, the horizon that the guess is for, above 0.
        batch_size: Of B₀: the noise scale where it was measured, or the reference's batch size.
        learning_rate: Of η₀, the peak rate with ``schedule``.
        schedule: That of the training that is advised for.
        is_adaptive: The optimizer is one of Adam's family, not SGD.
    """

    samples: float
    batch_size: LogEstimate
    learning_rate: LogEstimate
    schedule: Schedule
    is_adaptive: bool


def fit_horizon_law(
    points: Sequence[HorizonPoint],
    guess: HorizonGuess,
    *,
    tuning: HorizonTuning = HorizonTuning(),
) -> HorizonLaw:
    """Return the law's distribution after the points; that of the guess alone if there are none.

    Args:
        points: Complete trainings, in any order. Those of a rung of one training say nothing.
        guess: Where the search begins.
        tuning: Priors and tolerances.
    """
    priors = _priors(guess, len({point.rung for point in points}), tuning)
    means = np.array([one.mean for one in priors])
    deviations = np.array([one.deviation for one in priors])
    rungs = _rungs(points, guess.schedule, tuning)
    residuals = _Residuals(rungs, guess.samples, tuning)

    def whole(unknowns: Array) -> Array:
        off = (unknowns - means[:, None]) / deviations[:, None]
        return np.concatenate([off, residuals(unknowns)])

    fits = [_minimised(whole, start) for start in _starts(means, rungs, guess.samples)]
    best, jacobian = min(fits, key=lambda fit: float(np.square(whole(fit[0][:, None])).sum()))
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    spread = math.sqrt(len(best)) * np.linalg.cholesky(covariance).T
    return _law(np.concatenate([best + spread, best - spread]).T, guess.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    """Trainings of one horizon, or time, and schedule; arrays have one element a training.

    Attributes:
        samples: D.
        log_batches: ln B.
        log_rates: ln η.
        log_rate_factor: By which the best ln η is larger with the schedule that is advised for, by
            the bound.
        log_drifts: What the last rates add to that.
        costs: Loss over the rung's lowest, in ln data: c, or after equal time c − ln D, but for a
            constant; that of those that diverged is not used.
        deviations: Of the costs from the law.
        has_diverged: Loss is not finite.
    """

    samples: Array
    log_batches: Array
    log_rates: Array
    log_rate_factor: float
    log_drifts: Array
    costs: Array
    deviations: Array
    has_diverged: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def log_rates_as_advised(self, schedule_exponents: Array) -> Array:
        """Return the ln η as far from the best with the schedule that is advised for.

        Args:
            schedule_exponents: x of each law, shape (laws,).

        Returns:
            Shape (trainings, laws).
        """
        known = self.log_rates + self.log_drifts
        result: Array = known[:, None] + schedule_exponents * self.log_rate_factor
        return result


class _Residuals:
    """What points are off the law by, in their deviations."""

    def __init__(self, rungs: Sequence[_Rung], samples: float, tuning: HorizonTuning) -> None:
        self._rungs = rungs
        self._samples = samples
        self._tuning = tuning

    def __call__(self, unknowns: Array) -> Array:
        """Return a row for each point, shape (points, laws).

        Args:
            unknowns: In the order of ``_priors``, shape (unknowns, laws).
        """
        law = _law(unknowns, self._samples)
        schedule_exponent, log_scale = unknowns[-2:]
        parts = [np.zeros((0, unknowns.shape[1]))]
        for rung in self._rungs:
            diverged, deviations = rung.has_diverged[:, None], rung.deviations[:, None]
            rates = np.exp(rung.log_rates_as_advised(schedule_exponent))
            samples = rung.samples[:, None]
            costs = law.cost(np.exp(rung.log_batches)[:, None], rates, samples)
            behind = np.exp(log_scale) * (costs - np.log(samples))
            off = np.where(diverged, 0.0, rung.costs[:, None] - behind)
            weights = np.where(rung.has_diverged, 0.0, rung.deviations**-2)
            # The rung's best loss is whatever fits its trainings.
            off = off - (weights @ off) / weights.sum()
            least = np.minimum(costs / self._tuning.broken_cost - 1, 0.0)
            too_good = least / self._tuning.relative_misfit
            parts.append(np.where(diverged, too_good, off / deviations))
        return np.concatenate(parts)


def _priors(guess: HorizonGuess, horizons: int, tuning: HorizonTuning) -> tuple[NormalPrior, ...]:
    """Return the distribution of each unknown.

    The last two are the exponent of the bound's factor and the ln of a factor on every s.
    """
    deviation = (
        tuning.log_loss_slope_deviation if horizons > 1 else tuning.loss_slope_share_log_deviation
    )
    family = tuning.adaptive if guess.is_adaptive else tuning.sgd
    return (
        _normal(guess.batch_size),
        _normal(guess.learning_rate),
        tuning.batch_exponent,
        family.log_knee,
        NormalPrior(
            mean=tuning.rate_exponent.mean - tuning.last_rate_exponent * guess.schedule.last_rate,
            deviation=tuning.rate_exponent.deviation,
        ),
        family.slope,
        tuning.log_rate_curvature,
        family.log_small_batch_curvature,
        tuning.log_large_batch_curvature,
        tuning.schedule_exponent,
        NormalPrior(mean=0.0, deviation=deviation),
    )


def _normal(estimate: LogEstimate) -> NormalPrior:
    return NormalPrior(mean=math.log(estimate.median), deviation=estimate.log_deviation)


def _law(unknowns: Array, samples: float) -> HorizonLaw:
    """Return the laws of columns of unknowns, shape (unknowns, laws)."""
    batch, rate, batch_exponent, knee, rate_exponent, slope, curvature, small, large, *_ = unknowns
    return HorizonLaw(
        samples=samples,
        log_batch_size=batch,
        log_rate=rate,
        batch_exponent=batch_exponent,
        log_knee=knee,
        rate_exponent=rate_exponent,
        slope=slope,
        rate_curvature=np.exp(curvature),
        small_batch_curvature=np.exp(small),
        large_batch_curvature=np.exp(large),
    )


def _rungs(
    points: Sequence[HorizonPoint], schedule: Schedule, tuning: HorizonTuning
) -> list[_Rung]:
    groups: dict[tuple[object, Schedule], list[HorizonPoint]] = {}
    for point in points:
        groups.setdefault((point.rung, point.schedule), []).append(point)
    known = [group for group in groups.values() if any(math.isfinite(p.loss) for p in group)]
    slopes = _loss_slopes(known, tuning)
    return [_rung(group, slopes[_best(group).samples], schedule, tuning) for group in known]


def _loss_slopes(
    rungs: Sequence[Sequence[HorizonPoint]], tuning: HorizonTuning
) -> dict[float, float]:
    """Return s at each horizon: the mean slope to the best losses of the horizons beside it."""
    best: dict[float, float] = {}
    for point in sorted(map(_best, rungs), key=lambda point: point.samples):
        best[point.samples] = min(point.loss, best.get(point.samples, math.inf))
    falls = -np.diff([*best.values()]) / np.diff(np.log([*best]))
    around = np.concatenate([falls[:1], (falls[1:] + falls[:-1]) / 2, falls[-1:]])
    slopes = around if len(falls) else np.zeros(len(best))
    least = _LEAST_SLOPE * tuning.loss_slope_share
    return {
        samples: float(slope) if slope > least * abs(loss) else tuning.loss_slope_share * abs(loss)
        for samples, slope, loss in zip(best, slopes, best.values(), strict=True)
    }


def _best(group: Sequence[HorizonPoint]) -> HorizonPoint:
    """Return the one of lowest loss; at least one is finite."""
    return min((point for point in group if math.isfinite(point.loss)), key=lambda one: one.loss)


def _rung(
    group: Sequence[HorizonPoint], slope: float, schedule: Schedule, tuning: HorizonTuning
) -> _Rung:
    losses = np.array([point.loss for point in group])
    has_diverged = ~np.isfinite(losses)
    factor = math.log(peak_rate_factor(schedule, group[0].schedule))
    steps = np.array([point.samples / point.batch_size for point in group])
    warmer = tuning.last_rate_exponent * (group[0].schedule.last_rate - schedule.last_rate)
    costs = (np.where(has_diverged, 0.0, losses) - losses[~has_diverged].min()) / slope
    return _Rung(
        samples=np.array([point.samples for point in group]),
        log_batches=np.log([point.batch_size for point in group]),
        log_rates=np.log([point.learning_rate for point in group]),
        log_rate_factor=factor,
        log_drifts=warmer * np.log(steps / tuning.last_rate_steps),
        costs=costs,
        deviations=np.hypot(tuning.misfit, tuning.relative_misfit * costs),
        has_diverged=has_diverged,
    )


def _starts(means: Array, rungs: Sequence[_Rung], samples: float) -> list[Array]:
    """Return where the minimum is looked for: the guess, and the best training of each rung."""
    starts = [means]
    for rung in rungs:
        best = int(np.where(rung.has_diverged, np.inf, rung.costs).argmin())
        far = math.log(rung.samples[best] / samples)
        start = means.copy()
        start[0] = rung.log_batches[best] - means[2] * far
        exponent = means[4] + means[2] * means[5]
        start[1] = rung.log_rates_as_advised(means[-2:-1])[best, 0] - exponent * far
        starts.append(start)
    return starts


def _minimised(residuals: Callable[[Array], Array], start: Array) -> tuple[Array, Array]:
    """Return where the sum of squares is least, and the residuals' derivatives there.

    Args:
        residuals: From columns of unknowns, shape (unknowns, laws), to (residuals, laws).
        start: Shape (unknowns,).
    """
    place, damping = start, _DAMPING
    values = residuals(place[:, None])[:, 0]
    jacobian = _derivatives(residuals, place)
    for _ in range(_MAX_STEPS):
        normal = jacobian.T @ jacobian
        damped = normal + damping * np.diag(np.diag(normal))
        nearer = place - np.linalg.solve(damped, jacobian.T @ values)
        after = residuals(nearer[:, None])[:, 0]
        gain = float(values @ values - after @ after)
        if gain > 0:
            place, values, damping = nearer, after, damping / 4
            jacobian = _derivatives(residuals, place)
        else:
            damping *= 8
        if abs(gain) < _CONVERGED * (1 + float(values @ values)) or damping > 1 / _CONVERGED:
            break
    return place, jacobian


def _derivatives(residuals: Callable[[Array], Array], place: Array) -> Array:
    """Return the derivatives by central differences, shape (residuals, unknowns)."""
    steps = _DIFFERENCE * np.eye(len(place))
    after, before = residuals(place[:, None] + steps), residuals(place[:, None] - steps)
    result: Array = (after - before) / (2 * _DIFFERENCE)
    return result
