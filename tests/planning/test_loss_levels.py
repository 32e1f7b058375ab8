"""What losses trials have come down to, and how steep curves are there and at the target."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from bsadvise.model.commands import TimeSteps
from bsadvise.model.measurements import Measurement, StepTimes
from hypothesis import given
from hypothesis import strategies as st

from advisor.estimators.learning_curve import LearningCurve
from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.loss_levels import LossLevels, numbers_of_broken
from advisor.planning.trials.trials import Trial, Trials
from tests.planning.conftest import Begin
from tests.support.builders import a_device, a_request, an_inspection
from tests.support.given_trials import GivenTrials, a_curve, a_trial, power_law
from tests.support.simulated_device import SimulatedDevice


@pytest.fixture
def view(begin: Begin) -> LogView:
    """The log of a recommendation up to its first trial."""
    return begin(SimulatedDevice(fixed_time_s=0.02, sample_time_s=2e-4))


def levels_of(view: LogView, *trials: Trial, target_loss: float | None = None) -> LossLevels:
    request = replace(view.request, target_loss=target_loss)
    return LossLevels(GivenTrials(replace(view, request=request), trials))


def test_steps_to_a_level_are_read_off_the_curve(view: LogView) -> None:
    slow = a_trial(0, power_law())
    quick = a_trial(1, lambda time_s: power_law()(4 * time_s))
    shared = [level for level in levels_of(view, slow, quick).all if len(level.steps) == 2]
    assert shared
    for level in shared:
        assert math.log2(level.steps[0] / level.steps[1]) == pytest.approx(2, abs=0.1)
        assert not level.missed


def test_who_stands_above_a_level_has_missed_it(view: LogView) -> None:
    slow = a_trial(0, power_law())
    quick = a_trial(1, lambda time_s: power_law()(4 * time_s))
    levels = levels_of(view, slow, quick).all
    lowest = levels[-1]
    assert set(lowest.steps) == {1}
    assert set(lowest.missed) == {0}
    assert lowest.missed[0] >= max(level.steps[0] for level in levels if 0 in level.steps)


def test_one_that_has_bounced_back_has_come_to_nothing(view: LogView) -> None:
    steady = a_trial(0, power_law())
    bounced = a_trial(1, lambda time_s: power_law()(time_s) if time_s < 2 else 9.0)
    for level in levels_of(view, steady, bounced).all:
        assert 1 not in level.steps


@given(doublings=st.floats(0.2, 3), exponent=st.floats(0.3, 0.8))
def test_the_slope_at_the_target_is_near_what_a_power_law_has_there(
    doublings: float, exponent: float
) -> None:
    trial = a_trial(0, power_law(exponent))
    target_loss = power_law(exponent)(8.0 * 2**doublings)
    view = LogView(*_bare())
    levels = levels_of(view, trial, target_loss=target_loss)
    assert levels.target_slope == pytest.approx(exponent * target_loss, rel=1.2)
    assert 0.05 <= levels.exponent <= 1.5


def _bare() -> tuple:  # type: ignore[type-arg] # the arguments of LogView
    timed = Measurement(
        command=TimeSteps(time_limit_s=9.0, micro_batch_size=32, measure_s=1.0),
        outcome=StepTimes(step_times_s=(0.01,), optimizer_times_s=(0.001,)),
        wall_s=0.1,
    )
    return a_request(), (a_device(),), (an_inspection(), timed)


def test_the_slope_left_is_above_0_whatever_the_losses_are(view: LogView) -> None:
    shapes = (
        power_law(),
        power_law(-0.5),
        lambda time_s: 1.0,
        lambda time_s: -time_s,
        lambda time_s: 0.0,
    )
    for shape in shapes:
        for target_loss in (None, 0.1, -5.0, 1e-9, 100.0):
            levels = levels_of(view, a_trial(0, shape), target_loss=target_loss)
            assert levels.target_slope > 0
            assert levels.exponent > 0
            assert all(level.slope.steepness >= 1 for level in levels.all)


def test_a_trial_that_has_flattened_does_not_alone_say_what_the_slope_is(view: LogView) -> None:
    steep = a_trial(0, power_law())
    flat = a_trial(1, lambda time_s: power_law(0.1)(1e5 * time_s))
    alone = levels_of(view, flat, target_loss=0.2).target_slope
    both = levels_of(view, flat, steep, target_loss=0.2).target_slope
    assert alone < both <= 2 * alone


def test_what_is_steep_far_above_the_target_says_little_of_the_slope_there(view: LogView) -> None:
    def bent(time_s: float) -> float:
        """Fall steeply to 0.5, then slowly."""
        return float(0.5 * max(time_s**-2, time_s**-0.1))

    lead = a_trial(0, lambda time_s: bent(4 * time_s))
    lagging = a_trial(1, lambda time_s: bent(time_s / 6))
    slope = levels_of(view, lead, lagging, target_loss=0.3).target_slope
    assert slope < 0.2 * levels_of(view, lagging, target_loss=0.3).target_slope


@pytest.mark.parametrize(
    ("fallen", "tells"), [(0.0, False), (0.1, False), (0.5, True), (1.5, True)]
)
def test_training_losses_tell_once_they_fall_as_held_out_losses_do(
    view: LogView, fallen: float, *, tells: bool
) -> None:
    begun = Trials(view).initial_loss
    assert begun is not None

    def falling(depth: float) -> LearningCurve:
        return a_curve(lambda time_s: begun * (1 - depth * time_s / 8.0), 8.0)

    held_out = falling(0.2)
    trial = replace(
        a_trial(0, power_law()), curve=held_out, training=falling(0.2 * fallen), first_epochs_s=99.0
    )
    trials = GivenTrials(view, (trial,))
    assert trials.training_loss_is_informative is tells
    assert trials.informative_curve(trial) is (trial.training if tells else held_out)
    assert [curve for *_, curve in LossLevels(trials).shown] == [trials.informative_curve(trial)]


def test_one_batch_that_happens_to_be_easy_tells_nothing(view: LogView) -> None:
    begun = Trials(view).initial_loss
    assert begun is not None
    held_out = a_curve(lambda time_s: begun * (1 - 0.2 * time_s / 8.0), 8.0)
    easy_first = a_curve(lambda time_s: begun * (0.8 if time_s < 0.1 else 1.0), 8.0)
    trial = replace(a_trial(0, power_law()), curve=held_out, training=easy_first)
    assert not GivenTrials(view, (trial,)).training_loss_is_informative


def test_nothing_trained_shows_no_levels(view: LogView) -> None:
    assert levels_of(view).all == []


def test_what_diverged_or_rose_is_broken() -> None:
    sound, risen = a_trial(0, power_law()), a_trial(1, lambda time_s: 3.0)
    diverged = a_trial(2, power_law(), diverged=True)
    assert numbers_of_broken([sound, risen, diverged], 2.5, 0.05) == [1, 2]
    assert numbers_of_broken([sound, risen, diverged], None, 0.05) == [2]
