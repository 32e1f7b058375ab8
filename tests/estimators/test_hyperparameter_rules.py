"""What each rule for a related hyperparameter keeps, and the forms past the noise scale."""

from __future__ import annotations

import math

import pytest
from bsadvise.model.task import OptimizerFamily
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.efficiency import relative_efficiency, relative_steps
from advisor.estimators.hyperparameter_rules import (
    adam_warmup_steps,
    scale_beta,
    scale_epsilon,
    scale_momentum,
    scale_weight_decay,
    sgd_warmup_steps,
)
from advisor.estimators.scaling_rules import (
    scale_learning_rate,
    scale_learning_rate_past_noise,
)

_sizes = st.integers(1, 1 << 16)
_noises = st.floats(1e-2, 1e6)
_ratios = st.floats(1e-2, 1e2)
_rates = st.floats(1e-6, 10)
_betas = st.floats(0.5, 0.9999)
_families = st.sampled_from(OptimizerFamily)


@given(rate=_rates, reference=_sizes, batch=_sizes, noise=_noises)
def test_sgd_saturates_as_the_form_says(
    rate: float, reference: int, batch: int, noise: float
) -> None:
    most = rate * (1 + noise / reference)
    scaled = scale_learning_rate_past_noise(OptimizerFamily.SGD, rate, reference, batch, noise)
    assert scaled == pytest.approx(most / (1 + noise / batch))
    assert scaled <= most * (1 + 1e-9)


@given(rate=_rates, reference=_sizes, batch=_sizes, noise=_noises)
def test_adam_surges_as_the_form_says(
    rate: float, reference: int, batch: int, noise: float
) -> None:
    def form(size: int) -> float:
        return 2 / (math.sqrt(noise / size) + math.sqrt(size / noise))

    scaled = scale_learning_rate_past_noise(OptimizerFamily.ADAM, rate, reference, batch, noise)
    assert scaled == pytest.approx(rate * form(batch) / form(reference))
    at_peak = scale_learning_rate_past_noise(OptimizerFamily.ADAM, rate, reference, noise, noise)
    assert scaled <= at_peak * (1 + 1e-9)


@given(rate=_rates, reference=_sizes, ratio=_ratios, family=_families)
def test_far_below_the_noise_scale_the_forms_are_the_rules(
    rate: float, reference: int, ratio: float, family: OptimizerFamily
) -> None:
    batch = reference * ratio
    noise = 1e6 * max(batch, reference)
    scaled = scale_learning_rate_past_noise(family, rate, reference, batch, noise)
    assert scaled == pytest.approx(scale_learning_rate(family, rate, ratio), rel=1e-5)


@given(batch=_sizes, reference=_sizes, noise=_noises)
def test_efficiency_is_the_ratio_of_the_samples_that_the_loss_takes(
    batch: int, reference: int, noise: float
) -> None:
    samples, reference_samples = (size * relative_steps(size, noise) for size in (batch, reference))
    efficiency = relative_efficiency(batch, reference, noise)
    assert efficiency == pytest.approx(reference_samples / samples)


@given(batch=_sizes, reference=_sizes, noise=_noises)
def test_efficiency_is_one_at_the_reference_and_falls_with_the_batch(
    batch: int, reference: int, noise: float
) -> None:
    assert relative_efficiency(reference, reference, noise) == 1
    efficiency = relative_efficiency(batch, reference, noise)
    assert (efficiency <= 1) == (batch >= reference)


@given(decay=st.floats(1e-6, 1), rate=_rates, ratio=_ratios, rate_ratio=_ratios)
def test_weight_decay_keeps_its_time_scale(
    decay: float, rate: float, ratio: float, rate_ratio: float
) -> None:
    scaled = scale_weight_decay(decay, ratio, rate_ratio)
    assert ratio / (rate * rate_ratio * scaled) == pytest.approx(1 / (rate * decay))


@given(beta=_betas, ratio=_ratios)
def test_a_running_mean_keeps_its_half_life_in_samples(beta: float, ratio: float) -> None:
    scaled = scale_beta(beta, ratio)
    assert 0 <= scaled < 1
    if scaled > 0:
        assert ratio / math.log(scaled) == pytest.approx(1 / math.log(beta))


@given(beta=_betas, ratio=st.floats(1, 1e2))
def test_a_running_mean_is_never_shorter_than_the_linear_rule_makes_it(
    beta: float, ratio: float
) -> None:
    forgotten = ratio * (1 - beta)
    scaled = scale_beta(beta, ratio)
    assert scaled >= 1 - forgotten - 1e-12
    if forgotten < 0.02:
        assert 1 - scaled == pytest.approx(forgotten, rel=0.02)


@given(epsilon=st.floats(1e-12, 1e-2), ratio=_ratios)
def test_epsilon_there_and_back_is_the_same(epsilon: float, ratio: float) -> None:
    assert scale_epsilon(scale_epsilon(epsilon, ratio), 1 / ratio) == pytest.approx(epsilon)


@given(momentum=st.floats(0, 0.999), ratio=_ratios, rate_ratio=_ratios)
def test_momentum_keeps_the_noise_where_it_can(
    momentum: float, ratio: float, rate_ratio: float
) -> None:
    scaled = scale_momentum(momentum, ratio, rate_ratio)
    assert 0 <= scaled <= max(momentum, 0.99)
    if 0 < scaled < min(0.99, momentum):
        assert rate_ratio / (ratio * (1 - scaled)) == pytest.approx(1 / (1 - momentum))


@given(momentum=st.floats(0, 0.999), ratio=_ratios)
def test_momentum_stays_where_the_rate_follows_the_linear_rule(
    momentum: float, ratio: float
) -> None:
    assert scale_momentum(momentum, ratio, ratio) == pytest.approx(momentum)


def test_warm_up_is_five_epochs_for_a_larger_rate_of_sgd_and_none_for_a_smaller() -> None:
    assert sgd_warmup_steps(4.0, 100) == 500
    assert sgd_warmup_steps(1.0, 100) == 0
    assert sgd_warmup_steps(0.5, 100) == 0


@pytest.mark.parametrize(("beta2", "steps"), [(0.999, 2000), (0.99, 200), (0.95, 40)])
def test_warm_up_of_adam_follows_from_beta2(beta2: float, steps: int) -> None:
    assert adam_warmup_steps(beta2) == steps
