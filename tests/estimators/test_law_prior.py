"""What earlier searches found is pooled, and moves a fit as far as it may."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from bsadvise.model.measurements import LogEstimate, Prior
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.law_prior import pool_priors, prior_of_law
from advisor.estimators.scaling_fit import fit_scaling_law
from advisor.estimators.scaling_law import ScalingLaw
from advisor.estimators.scaling_tuning import ScalingTuning
from tests.estimators.test_scaling_law import REFERENCE, SETTINGS, a_law, levels_by

TUNING = ScalingTuning()

_estimates = st.builds(LogEstimate, median=st.floats(1e-6, 1e6), log_deviation=st.floats(1e-3, 5))
_priors = st.builds(
    Prior, answer_count=st.just(1), critical_batch_size=_estimates, largest_rate=_estimates
)


def a_prior(batch: float, rate: float, deviation: float = 1.0) -> Prior:
    return Prior(
        answer_count=1,
        critical_batch_size=LogEstimate(median=batch, log_deviation=deviation),
        largest_rate=LogEstimate(median=rate, log_deviation=deviation),
    )


def fitted(prior: Prior | None, *, is_trained: bool = True) -> ScalingLaw:
    return fit_scaling_law(
        REFERENCE,
        SETTINGS if is_trained else [],
        levels_by(a_law()) if is_trained else [],
        is_adaptive=False,
        exponent=0.05,
        prior=prior,
    )


def mean_log_batch(law: ScalingLaw) -> float:
    return float(law.probabilities @ np.log(law.critical_batch_size))


@given(st.lists(_priors, min_size=1, max_size=8), st.randoms())
def test_pooling_does_not_depend_on_the_order(priors: list[Prior], order: random.Random) -> None:
    shuffled = priors.copy()
    order.shuffle(shuffled)
    one, other = pool_priors(priors), pool_priors(shuffled)
    assert one.critical_batch_size is not None
    assert other.critical_batch_size is not None
    assert one.answer_count == other.answer_count == len(priors)
    assert one.critical_batch_size.median == other.critical_batch_size.median
    assert one.critical_batch_size.log_deviation == pytest.approx(
        other.critical_batch_size.log_deviation
    )


@given(st.lists(_priors, min_size=1, max_size=8))
def test_a_pool_is_one_of_its_medians_and_never_surer_than_searches_agree(
    priors: list[Prior],
) -> None:
    pooled = pool_priors(priors).largest_rate
    rates = [prior.largest_rate for prior in priors]
    assert pooled is not None
    assert pooled.median in {rate.median for rate in rates if rate}
    assert pooled.log_deviation >= TUNING.between_search_deviation
    more = pool_priors([*priors, *priors]).largest_rate
    assert more is not None
    assert more.log_deviation <= pooled.log_deviation


def test_one_search_of_five_that_went_wrong_does_not_move_the_pool() -> None:
    right = [a_prior(100.0 * factor, 0.5) for factor in (0.8, 0.9, 1.1, 1.2)]
    pooled = pool_priors([*right, a_prior(1e5, 0.5)]).critical_batch_size
    assert pooled is not None
    assert 80 <= pooled.median <= 120


def test_nothing_is_pooled_of_none() -> None:
    assert pool_priors(()) == pool_priors([Prior(answer_count=0)]) == Prior(answer_count=0)


def test_what_a_law_leaves_is_its_mean_and_deviation_in_the_logarithm() -> None:
    law = replace(
        a_law(),
        probabilities=np.array([0.5, 0.5]),
        critical_batch_size=np.array([10.0, 1000.0]),
        largest_rate=np.array([0.5, 0.5]),
    )
    prior = prior_of_law(law)
    assert prior.answer_count == 1
    assert prior.critical_batch_size is not None
    assert prior.critical_batch_size.median == pytest.approx(100)
    assert prior.critical_batch_size.log_deviation == pytest.approx(math.log(10))
    assert prior.largest_rate is not None
    assert prior.largest_rate.log_deviation > 0


def test_no_earlier_answer_leaves_the_fit_as_it_is() -> None:
    without, empty = fitted(None), fitted(Prior(answer_count=0))
    np.testing.assert_array_equal(without.probabilities, empty.probabilities)
    np.testing.assert_array_equal(without.critical_batch_size, empty.critical_batch_size)


@pytest.mark.parametrize("batch", [10.0, 1000.0])
def test_before_any_trial_the_law_is_drawn_to_what_was_found(batch: float) -> None:
    unknown = mean_log_batch(fitted(None, is_trained=False))
    drawn = mean_log_batch(fitted(a_prior(batch, 0.5), is_trained=False))
    assert abs(drawn - math.log(batch)) < abs(unknown - math.log(batch))


@pytest.mark.parametrize("factor", [1 / 30, 30, 1e9])
def test_trials_overrule_a_prior_that_is_far_off(factor: float) -> None:
    without = mean_log_batch(fitted(None))
    wrong = mean_log_batch(fitted(a_prior(100 * factor, 0.5 * factor, deviation=0.3)))
    assert wrong == pytest.approx(without, abs=0.3)
