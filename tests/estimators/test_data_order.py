"""The effect of an order is what was planted, and shuffled data hardly ever raise an alarm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from advisor.estimators.data_order import (
    DataOrderTuning,
    Norms,
    OrderEffect,
    estimate_order_effect,
)

Samples = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Samples]

BATCHES = 16


def norms_of(samples: Samples, batch_size: int) -> Norms:
    """Return the norms of batches of samples that stand for their own gradients."""
    gradients = samples.reshape(-1, batch_size, samples.shape[1]).mean(axis=1)
    return float((gradients**2).sum(axis=1).mean()), float((gradients.mean(axis=0) ** 2).sum())


def effect_of(samples: Samples, batch_size: int, dice: np.random.Generator) -> OrderEffect | None:
    shuffled = [norms_of(dice.permutation(samples), batch_size) for _ in range(2)]
    batch_count = len(samples) // batch_size
    return estimate_order_effect(batch_size, batch_count, norms_of(samples, batch_size), shuffled)


def norms(variance: float, squared_mean: float = 1.0) -> Norms:
    return squared_mean + variance * (BATCHES - 1) / BATCHES, squared_mean


DRAWS: dict[str, Draw] = {
    "normal": lambda dice, n: dice.normal(size=(n, 1)),
    "in four directions": lambda dice, n: dice.normal(size=(n, 4)),
    "without a variance": lambda dice, n: dice.standard_cauchy((n, 1)),
    "of rare classes": lambda dice, n: (dice.random((n, 1)) < 0.02).astype(float),
    "of two classes": lambda dice, n: (dice.random((n, 1)) < 0.5).astype(float),
    "far from zero": lambda dice, n: 5 + dice.exponential(size=(n, 1)) ** 3,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
@pytest.mark.parametrize("batch_size", [2, 8, 32])
def test_shuffled_samples_raise_no_more_alarms_than_stated(draw: Draw, batch_size: int) -> None:
    dice, trials = np.random.default_rng(1), 2000
    effects = [effect_of(draw(dice, BATCHES * batch_size), batch_size, dice) for _ in range(trials)]
    alarms = sum(effect is not None and effect.is_unrepresentative for effect in effects)
    # Two are stated; were it so many, more than eight would come in one of four thousand runs.
    assert trials * DataOrderTuning().false_alarm_rate == 2
    assert alarms <= 8


@pytest.mark.parametrize("above", [7, 15, 40])
@pytest.mark.parametrize("shuffles", [1, 2, 4])
@pytest.mark.parametrize("probability", [0.5, 0.05, 0.005])
def test_the_stated_probability_is_that_of_f_or_a_little_more(
    above: int, shuffles: int, probability: float
) -> None:
    drawn = np.random.default_rng(5).f(above, shuffles * above, 400_000)
    ratio = float(np.quantile(drawn, 1 - probability))
    effect = estimate_order_effect(
        8, above + 1, _with(above, ratio), [_with(above, 1.0)] * shuffles
    )
    assert effect is not None
    assert effect.design_effect == pytest.approx(ratio, rel=1e-6)
    assert 0.93 * probability <= effect.p_value <= 1.15 * probability


def _with(freedom: int, variance: float) -> Norms:
    return 1 + variance * freedom / (freedom + 1), 1.0


@given(effect=st.floats(0, 100), shuffled=st.lists(st.floats(0.1, 10), min_size=1, max_size=4))
def test_the_ratio_of_variances_is_recovered(effect: float, shuffled: list[float]) -> None:
    stored = effect * sum(shuffled) / len(shuffled)
    found = estimate_order_effect(32, BATCHES, norms(stored), [norms(one) for one in shuffled])
    assert found is not None
    assert found.design_effect == pytest.approx(effect, rel=1e-6, abs=1e-9)


@given(ratios=st.tuples(st.floats(0, 50), st.floats(0, 50)))
def test_the_larger_the_effect_the_less_probable(ratios: tuple[float, float]) -> None:
    small, large = (
        estimate_order_effect(32, BATCHES, norms(ratio), [norms(1.0)] * 2)
        for ratio in sorted(ratios)
    )
    assert small is not None
    assert large is not None
    assert large.p_value <= small.p_value
    assert large.worth(32) <= small.worth(32)


@given(effect=st.floats(0, 200), batch_size=st.integers(2, 64), other=st.integers(1, 4096))
def test_a_batch_is_never_worth_more_than_its_size(
    effect: float, batch_size: int, other: int
) -> None:
    found = OrderEffect(batch_size, effect, 0.5)
    assert 0 < found.worth(other) <= other
    assert found.worth(1) == 1
    assert found.worth(batch_size) == pytest.approx(batch_size / max(1.0, effect))


@pytest.mark.parametrize("shared", [0.3, 0.9])
def test_samples_that_neighbours_share_are_found(shared: float) -> None:
    dice, batch_size = np.random.default_rng(2), 32
    classes = np.repeat(dice.normal(size=(BATCHES, 8)), batch_size, axis=0)
    own = dice.normal(size=(BATCHES * batch_size, 8))
    effect = effect_of(shared**0.5 * classes + (1 - shared) ** 0.5 * own, batch_size, dice)
    assert effect is not None
    assert effect.is_unrepresentative
    assert effect.design_effect == pytest.approx(1 + (batch_size - 1) * shared, rel=0.5)


def test_of_samples_that_are_all_alike_nothing_is_said() -> None:
    assert estimate_order_effect(8, BATCHES, norms(3e-7), [norms(1e-7)] * 2) is None
    assert estimate_order_effect(8, BATCHES, (0.0, 0.0), [(0.0, 0.0)]) is None
