"""When a learning curve reaches a target, and its losses between evaluations."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.learning_curve import LearningCurve

_losses = st.lists(st.floats(-10, 10), min_size=2, max_size=8)
_falling = _losses.map(lambda losses: sorted(losses, reverse=True))
_seconds = st.floats(0.01, 1000)

_ROUNDING = 1e-9


def _curve(losses: list[float], pace: float = 1.0) -> LearningCurve:
    return LearningCurve(tuple(pace * 2.0**i for i in range(len(losses))), tuple(losses))


@given(losses=_losses, target=st.floats(-10, 10))
def test_it_reaches_the_losses_it_has_had_and_none_below(
    losses: list[float], target: float
) -> None:
    time_s = _curve(losses).time_to(target)
    if target < min(losses):
        assert time_s is None
    else:
        assert time_s is not None
        assert 1 <= time_s <= 2.0 ** (len(losses) - 1) * (1 + 1e-9)


@given(losses=_losses, left=st.floats(-10, 10), right=st.floats(-10, 10))
def test_a_harder_target_takes_no_less_time(losses: list[float], left: float, right: float) -> None:
    hard, easy = sorted((left, right))
    hard_s, easy_s = _curve(losses).time_to(hard), _curve(losses).time_to(easy)
    if hard_s is not None:
        assert easy_s is not None
        assert easy_s <= hard_s * (1 + 1e-9)


@given(losses=_losses, time_s=st.floats(0, 10))
def test_the_best_so_far_only_falls(losses: list[float], time_s: float) -> None:
    curve = _curve(losses)
    assert curve.best_until(time_s) >= curve.best_until(time_s + 1) >= curve.best_loss


def test_a_loss_after_one_that_is_not_finite_counts_from_its_own_evaluation() -> None:
    assert _curve([math.inf, 0.5]).time_to(0.6) == 2
    assert _curve([math.inf, math.inf, 0.5]).time_to(0.6) == 4
    assert _curve([math.inf, 1.0]).loss_at(1.5) == 1.0


@given(losses=_losses, share=st.floats(0, 1), data=st.data())
def test_between_evaluations_the_loss_lies_between_theirs(
    losses: list[float], share: float, data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, len(losses) - 2))
    low, high = sorted(losses[left : left + 2])
    assert low - _ROUNDING <= _curve(losses).loss_at(2 ** (left + share)) <= high + _ROUNDING


@given(losses=_losses, data=st.data())
def test_at_an_evaluation_the_loss_is_the_evaluated_one(
    losses: list[float], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(losses) - 1))
    assert _curve(losses).loss_at(2.0**index) == pytest.approx(losses[index], abs=_ROUNDING)


@given(losses=_losses)
def test_beyond_its_ends_a_curve_stays_as_it_is(losses: list[float]) -> None:
    curve = _curve(losses)
    assert curve.loss_at(0.1) == losses[0]
    assert curve.loss_at(10 * curve.end_s) == losses[-1]


@given(loss=st.floats(-10, 10), count=st.integers(1, 8), time_s=_seconds)
def test_a_constant_curve_stays_constant(loss: float, count: int, time_s: float) -> None:
    curve = _curve([loss] * count)
    assert curve.loss_at(time_s) == pytest.approx(loss, abs=_ROUNDING)
    assert curve.smoothed_at(time_s) == pytest.approx(loss, abs=_ROUNDING)
    assert curve.smooth().losses == pytest.approx([loss] * count, abs=_ROUNDING)


@given(losses=_falling, time_s=_seconds)
def test_a_mean_over_the_last_doubling_lags_a_falling_curve_by_at_most_that(
    losses: list[float], time_s: float
) -> None:
    curve = _curve(losses)
    smoothed = curve.smoothed_at(time_s)
    assert curve.loss_at(time_s) - _ROUNDING <= smoothed <= curve.loss_at(time_s / 2) + _ROUNDING


@given(losses=_losses, time_s=_seconds)
def test_means_lie_among_what_was_seen(losses: list[float], time_s: float) -> None:
    curve = _curve(losses)
    for mean in (curve.smoothed_at(time_s), *curve.smooth().losses):
        assert min(losses) - _ROUNDING <= mean <= max(losses) + _ROUNDING
    assert curve.smooth().times_s == curve.times_s
    assert curve.smooth().losses[0] == losses[0]


@given(losses=_falling, target=st.floats(-10, 10))
def test_smoothing_delays_the_target_by_at_most_two_evaluations(
    losses: list[float], target: float
) -> None:
    curve = _curve([*losses, losses[-1], losses[-1]])
    raw_s, smooth_s = curve.time_to(target), curve.smooth().time_to(target + _ROUNDING)
    if raw_s is None:
        assert curve.smooth().time_to(target - _ROUNDING) is None
        return
    seen = next(i for i, loss in enumerate(losses) if loss <= target)
    assert smooth_s is not None
    assert smooth_s <= curve.times_s[seen + 2] * (1 + _ROUNDING)
    later_s = curve.smooth().time_to(target)
    assert later_s is None or later_s >= raw_s * (1 - _ROUNDING)


@given(low=st.floats(0, 1), high=st.floats(1.6, 10), count=st.integers(5, 9), data=st.data())
def test_one_low_evaluation_does_not_reach_the_target(
    low: float, high: float, count: int, data: st.DataObject
) -> None:
    losses = [high] * count
    losses[data.draw(st.integers(3, count - 1))] = low
    assert _curve(losses).time_to(1.0) is not None
    assert _curve(losses).smooth().time_to(1.0) is None


def test_times_must_rise() -> None:
    with pytest.raises(ValueError, match="rise"):
        LearningCurve((1.0, 1.0), (1.0, 1.0))
