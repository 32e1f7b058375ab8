"""How many times as fast as the reference a trial is said to be, and how surely."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.answer.speedup import Speedup, held_out_ratio, speedup_over_reference
from advisor.planning.trials.trials import Trial
from tests.support.given_trials import a_curve, a_trial, power_law, ranking_of

_TARGET = 0.5
_seconds = st.floats(0.1, 100)


def _reaching(number: int, *times_to_target_s: float) -> Trial:
    trial = a_trial(number, power_law(), target_loss=_TARGET)
    return replace(trial, time_to_target_s=times_to_target_s[0], replicates_s=times_to_target_s[1:])


def _speedup(reference: Trial, trial: Trial, target_loss: float | None = _TARGET) -> Speedup:
    ranking = ranking_of(reference, trial, target_loss=target_loss)
    found = speedup_over_reference(ranking, trial, target_loss or 0.0)
    assert found is not None
    return found


def _width(speedup: Speedup) -> float:
    return math.log(speedup.interval.high / speedup.interval.low)


@given(
    reference_s=st.lists(_seconds, min_size=1, max_size=3),
    trial_s=st.lists(_seconds, min_size=1, max_size=3),
)
def test_it_lies_in_the_middle_of_its_interval(
    reference_s: list[float], trial_s: list[float]
) -> None:
    found = _speedup(_reaching(0, *reference_s), _reaching(1, *trial_s))
    middle = math.sqrt(found.interval.low * found.interval.high)
    assert found.ratio == pytest.approx(middle)
    assert found.interval.low < found.ratio < found.interval.high


def test_of_two_that_arrived_it_is_the_ratio_of_their_times() -> None:
    assert _speedup(_reaching(0, 8.0), _reaching(1, 2.0)).ratio == pytest.approx(4)
    assert _speedup(_reaching(0, 2.0, 8.0), _reaching(1, 2.0)).ratio == pytest.approx(2)


def test_replicates_that_agree_make_it_surer_and_such_as_differ_less_sure() -> None:
    once = _width(_speedup(_reaching(0, 8.0), _reaching(1, 2.0)))
    agreeing = _width(_speedup(_reaching(0, 8.0, 8.0, 8.0), _reaching(1, 2.0, 2.0, 2.0)))
    differing = _width(_speedup(_reaching(0, 8.0, 2.0, 32.0), _reaching(1, 2.0, 0.5, 8.0)))
    assert agreeing < once < differing


def test_the_reference_is_as_fast_as_itself() -> None:
    reference = _reaching(0, 4.0)
    found = _speedup(reference, reference)
    assert (found.interval.low, found.ratio, found.interval.high) == (1, 1, 1)


def test_short_of_the_target_it_is_the_ratio_at_a_loss_that_both_came_to() -> None:
    reference = a_trial(0, power_law())
    quick = a_trial(1, lambda time_s: power_law()(4 * time_s))
    assert math.log2(_speedup(reference, quick, None).ratio) == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize(("held_out", "trained", "doublings"), [(0.25, 4, 2), (4, 0.25, 2)])
def test_training_losses_are_asked_only_where_held_out_ones_see_a_trial_behind(
    held_out: float, trained: float, doublings: float
) -> None:
    reference = replace(a_trial(0, power_law()), training=a_curve(power_law(), 8.0))
    trial = replace(
        a_trial(1, lambda time_s: power_law()(held_out * time_s)),
        training=a_curve(lambda time_s: power_law()(trained * time_s), 8.0),
    )
    ratio = held_out_ratio(ranking_of(reference, trial), trial, 0.0)
    assert ratio is not None
    assert (ratio < 1) is (held_out < 1)
    assert math.log2(_speedup(reference, trial, None).ratio) == pytest.approx(doublings, abs=0.4)


def test_the_more_is_to_go_the_less_sure_it_is() -> None:
    reference = a_trial(0, power_law())
    quick = a_trial(1, lambda time_s: power_law()(4 * time_s))
    near, far = (power_law()(32.0 * 2**doublings) for doublings in (0.5, 2.0))
    assert _width(_speedup(reference, quick, near)) < _width(_speedup(reference, quick, far))


def test_a_trial_that_is_cooler_is_said_to_be_the_faster_for_it() -> None:
    reference = a_trial(0, power_law())
    same, lower = a_trial(1, power_law()), a_trial(1, power_law(), lr_multiplier=0.25)
    assert _speedup(reference, lower, None).ratio > _speedup(reference, same, None).ratio


def test_what_cannot_be_compared_has_none() -> None:
    sound, broken = a_trial(0, power_law()), a_trial(0, power_law(), diverged=True)
    assert speedup_over_reference(ranking_of(broken, sound), sound, 0.0) is None
    assert speedup_over_reference(ranking_of(sound, broken), broken, 0.0) is None
    assert speedup_over_reference(ranking_of(), sound, 0.0) is None
