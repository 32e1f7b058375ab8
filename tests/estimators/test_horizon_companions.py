"""Hyperparameters for a setting and horizon: what a recipe means is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.horizon_companions import (
    HorizonCompanions,
    HorizonRecipe,
    companions_for,
)
from advisor.estimators.horizon_schedule import CONSTANT, Schedule, parse_schedule

RECIPE = HorizonRecipe(
    batch_size=64, learning_rate=1e-3, samples=1e6, weight_decay=0.1, beta2=0.999
)


def found(
    batch_size: float = 64, learning_rate: float = 1e-3, samples: float = 1e6
) -> HorizonCompanions:
    return companions_for(RECIPE, batch_size, learning_rate, samples, CONSTANT)


def test_the_recipe_itself_is_kept() -> None:
    same = found()
    assert same.weight_decay is not None
    assert same.weight_decay.median == pytest.approx(0.1)
    assert same.beta2 == 0.999
    assert same.total_steps == 15_625


@given(ratio=st.floats(0.1, 10), rate_ratio=st.floats(0.1, 10))
def test_weight_decay_keeps_the_time_scale(ratio: float, rate_ratio: float) -> None:
    other = found(64 * ratio, 1e-3 * rate_ratio)
    assert other.weight_decay is not None
    assert other.time_scale is not None
    assert other.weight_decay.median == pytest.approx(0.1 * ratio / rate_ratio)
    assert other.time_scale == found().time_scale


@given(more=st.floats(1.5, 1000))
def test_a_longer_training_has_less_weight_decay_and_is_less_sure(more: float) -> None:
    near, far = found().weight_decay, found(samples=1e6 * more).weight_decay
    assert near is not None
    assert far is not None
    assert far.median == pytest.approx(0.1 * more ** (-1 + 0.53))
    assert far.log_deviation > near.log_deviation


@given(batch=st.floats(1, 1e5), larger=st.floats(1, 100))
def test_beta2_falls_with_the_batch_within_limits(batch: float, larger: float) -> None:
    small, large = found(batch).beta2, found(batch * larger).beta2
    assert small is not None
    assert large is not None
    assert 0.95 <= large <= small <= 0.9999


def test_a_recipe_beyond_the_limits_is_kept() -> None:
    recipe = replace(RECIPE, beta2=0.9)
    assert companions_for(recipe, 64, 1e-3, 1e6, CONSTANT).beta2 == 0.9


@given(
    samples=st.floats(64, 1e7),
    warmup=st.sampled_from([0.0, 0.02, 0.5]),
    name=st.sampled_from(["constant", "cosine", "wsd:0.4", "linear"]),
)
def test_steps_fit_into_the_training(samples: float, warmup: float, name: str) -> None:
    schedule = parse_schedule(name, warmup_share=warmup)
    steps = companions_for(RECIPE, 64, 1e-3, samples, schedule)
    assert steps.total_steps == max(1, int(samples // 64))
    assert 0 <= steps.warmup_steps <= steps.total_steps
    assert 0 <= steps.decay_steps <= steps.total_steps - steps.warmup_steps
    if not warmup:
        assert steps.warmup_steps <= 0.1 * steps.total_steps


def test_sgd_has_neither() -> None:
    recipe = replace(RECIPE, weight_decay=0.0, beta2=None)
    steps = companions_for(recipe, 64, 0.1, 1e6, Schedule(warmup_share=0.1))
    assert (steps.weight_decay, steps.time_scale, steps.beta2) == (None, None, None)
    assert steps.warmup_steps == 1562
