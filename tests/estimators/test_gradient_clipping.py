"""The clipping threshold follows the norms, and moves with the batch as their mean square does."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.gradient_clipping import carry_norm, norm_statistics

_norms = st.lists(st.floats(1e-6, 1e6), min_size=10, max_size=100)


@given(norms=_norms)
def test_nine_in_ten_pass_and_the_threshold_is_at_most_ten_means(norms: list[float]) -> None:
    found = norm_statistics(norms)
    assert found is not None
    assert min(norms) <= found.median <= found.percentile_90 <= max(norms)
    assert sum(norm > found.percentile_90 for norm in norms) <= 0.1 * len(norms)
    assert found.percentile_90 <= 10 * statistics.fmean(norms) * (1 + 1e-9)


@given(norms=_norms)
def test_what_is_not_finite_is_left_out(norms: list[float]) -> None:
    assert norm_statistics([*norms, math.inf, math.nan]) == norm_statistics(norms)


def test_few_steps_give_no_statistics() -> None:
    assert norm_statistics([1.0] * 9) is None
    assert norm_statistics([1.0] * 9 + [math.inf]) is None


@given(
    squared_gradient=st.floats(1e-3, 1e3),
    trace=st.floats(1e-3, 1e4),
    measured=st.integers(1, 1024),
    advised=st.integers(1, 1024),
)
def test_it_moves_with_the_batch_as_the_mean_square_does(
    squared_gradient: float, trace: float, measured: int, advised: int
) -> None:
    def norm(batch: int) -> float:
        return math.sqrt(squared_gradient + trace / batch)

    carried = carry_norm(norm(measured), measured, advised, trace / squared_gradient)
    assert carried == pytest.approx(norm(advised))


def test_without_noise_the_batch_does_not_matter() -> None:
    assert carry_norm(1.5, 32, 4096, 0.0) == 1.5
