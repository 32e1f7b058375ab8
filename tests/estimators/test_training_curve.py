"""Learning curves from training losses, and the slopes of curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.learning_curve import LearningCurve
from advisor.estimators.training_curve import training_curve

_STEP_S = 0.01
_losses = st.lists(st.floats(0, 10), min_size=1, max_size=40)


def a_curve(losses: list[float], ends: list[int] | None = None) -> LearningCurve:
    curve = training_curve(ends or list(range(1, len(losses) + 1)), losses, _STEP_S)
    assert curve is not None
    return curve


def a_power_law(exponent: float = 0.5, count: int = 40) -> LearningCurve:
    times_s = tuple(1.2**n for n in range(count))
    return LearningCurve(times_s, tuple(time_s**-exponent for time_s in times_s))


@given(_losses)
def test_each_point_is_the_mean_of_the_second_half_so_far(losses: list[float]) -> None:
    curve = a_curve(losses)
    assert curve.times_s == pytest.approx([_STEP_S * k for k in range(1, len(losses) + 1)])
    for k, seen in enumerate(curve.losses, 1):
        half, rest = divmod(k, 2)
        window = losses[k - half : k]
        total = math.fsum(window) + rest / 2 * losses[k - half - 1]
        assert seen == pytest.approx(total / (k / 2), abs=1e-9)


@given(_losses, st.integers(1, 5))
def test_segments_count_by_their_length(losses: list[float], length: int) -> None:
    single = a_curve([loss for loss in losses for _ in range(length)])
    joined = a_curve(losses, [length * k for k in range(1, len(losses) + 1)])
    assert joined.losses == pytest.approx(single.losses[length - 1 :: length])


@given(st.integers(2, 4))
def test_what_learns_in_a_part_of_the_steps_has_the_same_curve_at_a_part_of_the_times(
    factor: int,
) -> None:
    slow = a_curve([1 / (k / factor) for k in range(1, 40 * factor)])
    quick = a_curve([1 / k for k in range(1, 40)])
    assert slow.loss_at(factor * 0.3) == pytest.approx(quick.loss_at(0.3), rel=0.05)


def test_without_losses_there_is_no_curve() -> None:
    assert training_curve([], [], _STEP_S) is None
    with pytest.raises(ValueError, match="one length"):
        training_curve([1], [], _STEP_S)


@given(st.floats(0.1, 2), st.floats(0.05, 0.95))
def test_a_loss_that_falls_is_left_behind_when_it_is_come_to(exponent: float, share: float) -> None:
    curve = a_power_law(exponent)
    loss = curve.losses[-1] + share * (curve.losses[0] - curve.losses[-1])
    assert curve.left_behind_s(np.array([loss])) == pytest.approx([curve.time_to(loss)])


def test_a_loss_that_comes_back_is_left_behind_last() -> None:
    curve = LearningCurve((1.0, 2.0, 4.0, 8.0), (4.0, 1.0, 3.0, 1.0))
    behind_s = curve.left_behind_s(np.array([2.0, 0.5, 4.0]))
    assert behind_s == pytest.approx([4 * math.sqrt(2), math.nan, math.nan], nan_ok=True)
    rising = LearningCurve((1.0, 2.0), (1.0, 2.0))
    assert np.isnan(rising.left_behind_s(np.array([1.5])))


@given(st.floats(0.2, 1.5), st.floats(3, 700))
def test_the_slope_of_a_power_law_is_found(exponent: float, time_s: float) -> None:
    expected = exponent * time_s**-exponent
    slopes = a_power_law(exponent).slopes_at(np.array([time_s]))
    assert slopes == pytest.approx([expected], rel=0.25)


@given(st.floats(0.2, 1.5))
def test_the_end_slope_is_that_of_the_last_part(exponent: float) -> None:
    curve = a_power_law(exponent)
    middle_s = curve.end_s / math.exp(0.5)
    expected = exponent * middle_s**-exponent
    assert curve.end_slope() == pytest.approx(expected, rel=0.15)


def test_a_curve_that_only_rises_has_no_slope_and_a_short_one_none_to_tell() -> None:
    rising = LearningCurve((1.0, 2.0, 4.0), (1.0, 2.0, 3.0))
    assert rising.slopes_at(np.array([2.0])) == [0]
    assert rising.end_slope() == 0
    assert LearningCurve((1.0,), (1.0,)).end_slope() is None
    assert LearningCurve((1.0,), (1.0,)).slopes_at(np.array([1.0])) == [0]


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=12), st.floats(0.05, 6))
def test_all_that_comes_later_is_below(losses: list[float], loss: float) -> None:
    curve = LearningCurve(tuple(2.0**n for n in range(len(losses))), tuple(losses))
    since_s = curve.below_since_s(loss)
    begin = 0 if since_s is None else curve.times_s.index(since_s)
    assert all(one < loss for one in losses[begin:]) or since_s == curve.end_s
    if since_s is not None and begin:
        assert losses[begin - 1] >= loss * (1 - 1e-6) or losses[-1] >= loss * (1 - 1e-6)
