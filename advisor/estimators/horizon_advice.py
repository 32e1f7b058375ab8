"""Reads the setting for a stated horizon off the horizon law, with intervals and confidence.

    symbol  meaning                                                       unit
    D_B     samples that a training with batch size B sees: the same      samples
            for all, or what the time of the training allows
    c       cost of a setting in ln data, see ``horizon_law``             –

The setting of the least expected c − ln D_B is advised: the longest effective training. Expectation
is over the law's distribution, so that a batch size is advised further from the steeper arm the
less is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bsadvise.model.advice import Confidence, Interval
from bsadvise.model.measurements import LogEstimate

from advisor.estimators.horizon_law import HorizonLaw, HorizonPoint, carried_factor
from advisor.estimators.horizon_tuning import HorizonTuning
from advisor.estimators.quantiles import Z_80
from advisor.estimators.scaling_law import Array

_RATES = np.exp(np.linspace(-1.5, 1.5, 61))
"""Peak rates that are compared, over the middle of the law's best rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonCandidate:
    """A batch size that can be trained with.

    Attributes:
        batch_size: B, above 0.
        samples: D_B, above 0.
    """

    batch_size: float
    samples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonSetting:
    """What is advised for a horizon.

    Attributes:
        batch_size: B, samples; one of the candidates.
        learning_rate: Peak η, of the schedule that points were converted to.
        samples: D_B.
        best_batch_size: B*(D_B), samples.
        best_rate: η*(B, D_B).
        expected_cost: Expectation of c: share of the samples that a better setting would save.
        carried_factor: D_B over the longest horizon that was trained; infinite without any.
        batch_factor: B*(D_B) over B* at the longest horizon trained; 1 without any.
        rate_factor: η*(B, D_B) over the best rate, at the best batch size, of that horizon.
        confidence: Never high where carried far, nor where intervals are wide.
    """

    batch_size: float
    learning_rate: float
    samples: float
    best_batch_size: LogEstimate
    best_rate: LogEstimate
    expected_cost: float
    carried_factor: float
    batch_factor: float
    rate_factor: float
    confidence: Confidence


def advise_for_horizon(
    law: HorizonLaw,
    points: Sequence[HorizonPoint],
    candidates: Sequence[HorizonCandidate],
    *,
    tuning: HorizonTuning = HorizonTuning(),
) -> HorizonSetting:
    """Return the setting of the least expected cost.

    Args:
        law: After the points.
        points: Complete trainings that the law was fitted to.
        candidates: At least one.
        tuning: Limits of confidence.
    """
    settings = [_at(law, candidate) for candidate in candidates]
    worth = [
        cost - math.log(one.samples) for (_, cost), one in zip(settings, candidates, strict=True)
    ]
    place = int(np.argmin(worth))
    candidate, (rate, cost) = candidates[place], settings[place]
    samples = candidate.samples
    batches, rates = law.log_best_batch(samples), law.log_best_rate(candidate.batch_size, samples)
    longest = max((point.samples for point in points), default=samples)
    before = law.log_best_batch(longest)
    before_rates = law.log_best_rate(float(np.exp(before.mean())), longest)
    factor = carried_factor(points, samples)
    best_batch_size, best_rate = _estimate(batches, tuning), _estimate(rates, tuning)
    deviation = max(best_batch_size.log_deviation, best_rate.log_deviation)
    return HorizonSetting(
        batch_size=candidate.batch_size,
        learning_rate=rate,
        samples=samples,
        best_batch_size=best_batch_size,
        best_rate=best_rate,
        expected_cost=cost,
        carried_factor=factor,
        batch_factor=math.exp(float((batches - before).mean())),
        rate_factor=math.exp(float((rates - before_rates).mean())),
        confidence=confidence_of(factor, deviation, tuning=tuning),
    )


def confidence_of(
    carried: float, log_deviation: float, *, tuning: HorizonTuning = HorizonTuning()
) -> Confidence:
    """Return the confidence of what was carried.

    Args:
        carried: Horizon over the longest horizon that was trained, at least 1.
        log_deviation: The larger deviation of the logarithms of batch size and rate.
        tuning: Limits.
    """
    if carried <= tuning.high_carried and log_deviation <= tuning.high_log_deviation:
        return Confidence.HIGH
    if carried <= tuning.medium_carried and log_deviation <= tuning.medium_log_deviation:
        return Confidence.MEDIUM
    return Confidence.LOW


def _at(law: HorizonLaw, candidate: HorizonCandidate) -> tuple[float, float]:
    """Return the peak rate of the least expected cost at a batch size, and that cost."""
    best = law.log_best_rate(candidate.batch_size, candidate.samples)
    rates = np.exp(best.mean()) * _RATES
    costs = law.cost(candidate.batch_size, rates[:, None], candidate.samples).mean(axis=1)
    place = int(costs.argmin())
    return float(rates[place]), float(costs[place])


def interval_of(estimate: LogEstimate) -> Interval:
    """Return the 80 % interval of an estimate, normal in the logarithm."""
    factor = math.exp(Z_80 * estimate.log_deviation)
    return Interval(low=estimate.median / factor, high=estimate.median * factor)


def _estimate(logs: Array, tuning: HorizonTuning) -> LogEstimate:
    return LogEstimate(
        median=math.exp(float(logs.mean())),
        log_deviation=math.hypot(float(logs.std()), tuning.law_log_deviation),
    )
