"""Pools what earlier searches found of the scaling law's unknowns.

    symbol  meaning                                                     unit
    m_i     ln of an unknown, as search i leaves it: its mean           –
    s_i     its standard deviation                                      –
    τ       deviation of one search's ln from another's, both being
            long: target, horizon and seed are not the same             –
    w_i     weight 1/(s_i² + τ²)                                        –

The pooled mean is the weighted median of m_i, which one search that went wrong does not move, and
the deviation of a further search from it is √(1/Σw_i + τ²), as in a random-effects model
(DerSimonian and Laird, 1986).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from bsadvise.model.measurements import LogEstimate, Prior

from advisor.estimators.scaling_law import Array, ScalingLaw
from advisor.estimators.scaling_tuning import ScalingTuning

_LEAST_DEVIATION = 1e-3
"""Of a fit that left one law alone: a deviation is above 0."""


def prior_of_law(law: ScalingLaw) -> Prior:
    """Return what one search leaves of the law."""
    return Prior(
        answer_count=1,
        critical_batch_size=_moments(law.critical_batch_size, law),
        largest_rate=_moments(law.largest_rate, law),
    )


def pool_priors(priors: Sequence[Prior], *, tuning: ScalingTuning = ScalingTuning()) -> Prior:
    """Return what several searches together say of a further one.

    Args:
        priors: One of each search; those of none are passed over.
        tuning: Has τ.
    """
    batches = [p.critical_batch_size for p in priors if p.critical_batch_size is not None]
    rates = [p.largest_rate for p in priors if p.largest_rate is not None]
    return Prior(
        answer_count=sum(prior.answer_count for prior in priors),
        critical_batch_size=_pooled(batches, tuning.between_search_deviation),
        largest_rate=_pooled(rates, tuning.between_search_deviation),
    )


def _moments(values: Array, law: ScalingLaw) -> LogEstimate:
    logs = np.log(values)
    mean = float(law.probabilities @ logs)
    variance = float(law.probabilities @ (logs - mean) ** 2)
    return LogEstimate(
        median=math.exp(mean), log_deviation=max(_LEAST_DEVIATION, math.sqrt(variance))
    )


def _pooled(estimates: Sequence[LogEstimate], between: float) -> LogEstimate | None:
    if not estimates:
        return None
    weights = [1 / (one.log_deviation**2 + between**2) for one in estimates]
    return LogEstimate(
        median=_weighted_median([one.median for one in estimates], weights),
        log_deviation=math.hypot(math.sqrt(1 / sum(weights)), between),
    )


def _weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    below, half = 0.0, sum(weights) / 2
    for value, weight in sorted(zip(values, weights, strict=True)):
        below += weight
        if below >= half:
            return value
    raise ValueError("there is no value")
