"""When a learning curve comes to a target, and what it shows on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.learning_curve import LearningCurve

_losses = st.lists(st.floats(-10, 10), min_size=2, max_size=8)


def _curve(losses: list[float], pace: float = 1.0) -> LearningCurve:
    return LearningCurve(tuple(pace * 2.0**i for i in range(len(losses))), tuple(losses))


@given(losses=_losses, target=st.floats(-10, 10))
def test_it_comes_to_what_it_has_seen_and_to_nothing_below(
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


def test_times_must_rise() -> None:
    with pytest.raises(ValueError, match="rise"):
        LearningCurve((1.0, 1.0), (1.0, 1.0))
