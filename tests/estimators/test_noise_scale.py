"""The noise scale recovers what was planted."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.noise_scale import estimate_noise_scale


@given(
    squared_gradient=st.floats(1e-3, 1e3),
    trace=st.floats(1e-3, 1e4),
    small=st.integers(1, 64),
    factor=st.integers(2, 16),
)
def test_exact_norms_give_the_exact_scale(
    squared_gradient: float, trace: float, small: int, factor: int
) -> None:
    big = small * factor
    noise = estimate_noise_scale(
        small,
        big,
        [squared_gradient + trace / small] * 4,
        [squared_gradient + trace / big] * 4,
    )
    assert noise is not None
    assert noise.value == pytest.approx(trace / squared_gradient, rel=1e-6)


def test_it_is_recovered_from_gaussian_gradients_and_the_interval_holds_it() -> None:
    generator = random.Random(3)
    dimension, true, held, count = 40, 50.0, 0, 100

    def squared_norm(batch: int) -> float:
        # ‖G‖² = 1 along one axis, tr(Σ) = 50 over all.
        deviation = math.sqrt(true / dimension / batch)
        axis = [1.0] + [0.0] * (dimension - 1)
        return sum((x + generator.gauss(0, deviation)) ** 2 for x in axis)

    for _ in range(count):
        small = [(squared_norm(16) + squared_norm(16)) / 2 for _ in range(60)]
        big = [squared_norm(32) for _ in range(60)]
        noise = estimate_noise_scale(16, 32, small, big)
        assert noise is not None
        assert noise.interval is not None
        low, high = noise.interval
        held += low <= true <= high
    assert 0.65 <= held / count <= 0.95


@given(norms=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=2, max_size=20))
def test_any_norms_give_a_sane_answer_or_none(norms: list[tuple[float, float]]) -> None:
    noise = estimate_noise_scale(8, 16, [s for s, _ in norms], [b for _, b in norms])
    if noise is not None:
        assert 0 <= noise.value < math.inf
        if noise.interval is not None:
            assert 0 < noise.interval[0] <= noise.value <= noise.interval[1] < math.inf


def test_one_step_is_too_few() -> None:
    assert estimate_noise_scale(8, 16, [2.0], [1.0]) is None


def test_batch_sizes_must_differ() -> None:
    with pytest.raises(ValueError, match="below big_batch_size"):
        estimate_noise_scale(16, 16, [1.0, 1.0], [1.0, 1.0])
