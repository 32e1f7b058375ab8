"""Identities of statistical efficiency and of the learning-rate rules."""

from __future__ import annotations

import pytest
from bsadvise.model.task import OptimizerFamily
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.efficiency import (
    fastest_batch_size,
    relative_samples,
    relative_steps,
)
from advisor.estimators.scaling_rules import scale_learning_rate

_sizes = st.integers(1, 1 << 16)
_scales = st.floats(1e-3, 1e6)


@given(batch=_sizes, critical=_scales)
def test_steps_and_samples_trade_as_the_hyperbola_says(batch: int, critical: float) -> None:
    steps = relative_steps(batch, critical)
    samples = relative_samples(batch, critical) / critical
    assert (steps - 1) * (samples - 1) == pytest.approx(1.0)


@given(critical=_scales)
def test_at_the_critical_batch_both_are_doubled(critical: float) -> None:
    assert relative_steps(critical, critical) == pytest.approx(2)
    assert relative_samples(critical, critical) == pytest.approx(2 * critical)


@given(critical=_scales)
def test_where_steps_cost_the_same_the_largest_batch_is_fastest(critical: float) -> None:
    assert fastest_batch_size([1, 8, 64, 512], critical, lambda _: 1.0) == 512


@given(critical=_scales)
def test_where_steps_cost_in_proportion_the_smallest_is_fastest(critical: float) -> None:
    assert fastest_batch_size([1, 8, 64, 512], critical, float) == 1


@given(
    rate=st.floats(1e-6, 10), ratio=st.floats(1e-3, 1e3), family=st.sampled_from(OptimizerFamily)
)
def test_scaling_there_and_back_changes_nothing(
    rate: float, ratio: float, family: OptimizerFamily
) -> None:
    there = scale_learning_rate(family, rate, ratio)
    assert scale_learning_rate(family, there, 1 / ratio) == pytest.approx(rate)


def test_sgd_scales_with_the_batch_and_adam_with_its_root() -> None:
    assert scale_learning_rate(OptimizerFamily.SGD, 0.1, 4) == pytest.approx(0.4)
    assert scale_learning_rate(OptimizerFamily.ADAM, 0.1, 4) == pytest.approx(0.2)
    assert scale_learning_rate(OptimizerFamily.OTHER, 0.1, 4) == pytest.approx(0.2)
