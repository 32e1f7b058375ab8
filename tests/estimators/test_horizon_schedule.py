"""Schedules: rates are shares of the peak, and the bound orders them as theory says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from bsadvise.model.horizon import LearningRateSchedule, ScheduleShape
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.horizon_schedule import (
    CONSTANT,
    LINEAR,
    Decay,
    Schedule,
    bound_rate,
    parse_schedule,
    peak_rate_factor,
    rate_sums,
    schedule_of,
)

_SHARES = st.just(0.0) | st.floats(1e-3, 1)
_SCHEDULES = st.builds(
    Schedule,
    warmup_share=st.just(0.0) | st.floats(1e-3, 0.5),
    decay_share=_SHARES,
    decay=st.sampled_from(Decay),
    final_share=_SHARES,
)


@given(schedule=_SCHEDULES, steps=st.integers(2, 500))
def test_rates_are_shares_of_the_peak_that_rise_then_fall(schedule: Schedule, steps: int) -> None:
    rates = schedule.step_rates(steps)
    assert rates.shape == (steps,)
    assert ((rates > 0) & (rates <= 1)).all()
    turns = np.sign(np.diff(rates))
    assert list(turns[turns != 0]) == sorted(turns[turns != 0], reverse=True)


@given(schedule=_SCHEDULES)
def test_warm_up_begins_at_zero_and_decay_ends_at_the_last_rate(schedule: Schedule) -> None:
    first, last = schedule.rates(np.array([0.0, 1.0]))
    assert first == pytest.approx(0.0 if schedule.warmup_share else schedule.rates(np.zeros(1))[0])
    assert last == pytest.approx(schedule.last_rate)


@given(schedule=_SCHEDULES, steps=st.integers(2, 2000))
def test_a_constant_rate_has_the_largest_sums(schedule: Schedule, steps: int) -> None:
    total, squares = rate_sums(schedule, steps)
    assert rate_sums(CONSTANT, steps) == (steps, steps)
    assert squares <= total * (1 + 1e-12)
    assert total <= steps
    assert total**2 <= steps * squares * (1 + 1e-12)


@given(steps=st.integers(4, 400))
def test_no_decay_is_the_constant_rate_whatever_its_form(steps: int) -> None:
    for decay, final_share in itertools.product(Decay, (0.0, 0.3)):
        none = Schedule(decay_share=0.0, decay=decay, final_share=final_share)
        assert bound_rate(none, steps) == bound_rate(CONSTANT, steps)
        assert none.last_rate == 1


@given(schedule=_SCHEDULES, other=_SCHEDULES)
def test_factors_are_ratios(schedule: Schedule, other: Schedule) -> None:
    assert peak_rate_factor(schedule, schedule) == 1
    there_and_back = peak_rate_factor(schedule, other) * peak_rate_factor(other, schedule)
    assert there_and_back == pytest.approx(1)


def test_the_bound_of_a_constant_rate_is_the_closed_form() -> None:
    # Each k adds 1/(T − k); Q/S is 1: γ² = 1/(T·(1 + H_{T−1})) in units of D/G.
    steps = 50
    harmonic = sum(1 / k for k in range(1, steps))
    assert bound_rate(CONSTANT, steps) == pytest.approx((steps * (1 + harmonic)) ** -0.5)


def test_more_decay_allows_a_higher_peak() -> None:
    shares = [0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0]
    rates = [bound_rate(Schedule(decay_share=share)) for share in shares]
    assert rates == sorted(rates)
    finals = [bound_rate(parse_schedule(f"cosine:{share}")) for share in (0.5, 0.2, 0.1, 0.0)]
    assert finals == sorted(finals)


def test_factors_are_those_of_the_paper() -> None:
    trapezoid = parse_schedule("wsd:0.2")
    for name, factor in {"constant": 0.62, "wsd:0.4": 1.18, "linear": 1.95, "cosine": 1.89}.items():
        assert peak_rate_factor(parse_schedule(name), trapezoid) == pytest.approx(factor, abs=0.01)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("constant", CONSTANT),
        ("Linear", LINEAR),
        ("linear:0.1", Schedule(decay_share=1.0, final_share=0.1)),
        ("cosine:0.1", Schedule(decay_share=1.0, decay=Decay.COSINE, final_share=0.1)),
        ("wsd", Schedule(decay_share=0.2)),
        ("wsd:0.4", Schedule(decay_share=0.4)),
    ],
)
def test_names_are_those_of_the_command_line(text: str, schedule: Schedule) -> None:
    assert parse_schedule(text) == schedule
    assert parse_schedule(text, warmup_share=0.1).warmup_share == 0.1


@given(
    shape=st.sampled_from(list(ScheduleShape)),
    final_share=st.floats(0, 1),
    decay_share=st.floats(0.01, 1),
    warmup_share=st.just(0.0) | st.floats(1e-3, 0.9),
)
def test_shares_and_steps_of_a_schedule_are_of_the_same_rates(
    shape: ScheduleShape, final_share: float, decay_share: float, warmup_share: float
) -> None:
    asked = LearningRateSchedule(
        shape=shape,
        final_share=final_share,
        decay_share=decay_share,
        warmup_share=warmup_share,
    )
    steps = 4000
    of_steps = asked.over(steps)
    rates = schedule_of(asked).step_rates(steps)
    in_steps = np.array([of_steps.multiplier(step) for step in range(steps)])
    # A step of a decay of few steps is more than a thousandth of the peak.
    assert np.abs(rates - in_steps).mean() < 2e-3


def test_steps_of_warm_up_are_no_share() -> None:
    with pytest.raises(ValueError, match="no share"):
        schedule_of(LearningRateSchedule(warmup_steps=3))


@given(share=st.floats(0.01, 0.99))
def test_warm_up_takes_from_a_decay_of_all_steps(share: float) -> None:
    schedule = Schedule(warmup_share=share, decay_share=1.0)
    assert schedule.rates(np.array([share]))[0] == pytest.approx(1)
    assert math.isclose(rate_sums(schedule, 4000)[0] / 4000, 0.5, abs_tol=1e-3)
