"""Which untried settings the scaling model suggests."""

from __future__ import annotations

import numpy as np
import pytest
from bsadvise.model.task import OptimizerFamily

from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.acquisition import Acquisition
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.trials import Trial
from advisor.ports.proposer import Point
from tests.planning.conftest import Begin
from tests.support.builders import a_profile, an_optimizer
from tests.support.given_trials import GivenTrials, a_trial
from tests.support.simulated_device import SimulatedDevice

RATE = 0.05


def a_simulated(family: OptimizerFamily = OptimizerFamily.SGD, **changes: float) -> SimulatedDevice:
    profile = a_profile(
        optimizer=an_optimizer(family=family), reference_batch_size=32, reference_learning_rate=RATE
    )
    figures = {"fixed_time_s": 0.02, "sample_time_s": 2e-4} | changes
    return SimulatedDevice(profile=profile, **figures)  # type: ignore[arg-type] # any figure


@pytest.fixture
def view(begin: Begin) -> LogView:
    """The log of a recommendation up to its first trial."""
    return begin(a_simulated())


def acquisition_of(view: LogView, *trials: Trial) -> Acquisition:
    return Acquisition(GivenTrials(view, trials), BatchSizes(view))


def tried(
    number: int,
    multiplier: float,
    slowness: float,
    batch_size: int = 32,
    *,
    target_loss: float | None = None,
    diverged: bool = False,
) -> Trial:
    """Return a trial whose loss falls by the inverse root of its time over a slowness."""
    return a_trial(
        number,
        lambda time_s: float(0.1 * (time_s / slowness) ** -0.5),
        batch_size=batch_size,
        lr_multiplier=multiplier,
        learning_rate=RATE * multiplier * batch_size / 32,
        target_loss=target_loss,
        diverged=diverged,
    )


def test_before_anything_is_known_a_higher_multiplier_is_suggested(view: LogView) -> None:
    acquisition = acquisition_of(view, tried(0, 1.0, 4.0))
    fastest, safest = acquisition.highest_expected_speed, acquisition.least_expected_regret
    assert 1.5 < fastest.point.lr_multiplier <= 4.1
    assert safest.expected_regret < fastest.expected_regret
    assert safest.expected_regret > 0.3, "the regret is high at first"


def test_no_multiplier_is_suggested_that_is_far_above_what_trained_well(view: LogView) -> None:
    cold = acquisition_of(view, tried(0, 1.0, 4.0))
    warm = acquisition_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 1.0))
    burnt = acquisition_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 8.0, diverged=True))
    assert (
        warm.highest_expected_speed.point.lr_multiplier
        > cold.highest_expected_speed.point.lr_multiplier
    )
    assert (
        burnt.highest_expected_speed.point.lr_multiplier
        <= cold.highest_expected_speed.point.lr_multiplier
    )
    assert (
        burnt.least_expected_regret.point.lr_multiplier
        < warm.least_expected_regret.point.lr_multiplier
    )


def test_a_setting_as_fast_as_the_flow_was_not_slowed_by_noise(begin: Begin) -> None:
    view = begin(a_simulated(gradient_noise=0.1))
    flowing = acquisition_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 1.0)).law
    hindered = acquisition_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 4.0)).law
    high_rate = (32, 4 * RATE)
    assert (
        flowing.mean(flowing.log_slowdown(*high_rate))
        < 0.5
        < hindered.mean(hindered.log_slowdown(*high_rate))
    )


def test_the_dearer_a_sample_is_the_smaller_the_batch(begin: Begin) -> None:
    sizes = []
    for fixed_time_s, sample_time_s in ((0.05, 1e-6), (1e-4, 1e-3)):
        simulated = a_simulated(fixed_time_s=fixed_time_s, sample_time_s=sample_time_s)
        acquisition = acquisition_of(begin(simulated), tried(0, 1.0, 4.0), tried(1, 4.0, 1.5))
        sizes.append(acquisition.least_expected_regret.point.effective_batch_size)
    assert sizes[0] > 4 * sizes[1]


def test_a_recipe_that_broke_is_not_what_the_law_is_about(view: LogView) -> None:
    broken = tried(0, 1.0, 1.0, diverged=True)
    lower = tried(1, 0.02, 1.0)
    assert acquisition_of(view, broken).is_all_broken
    found = acquisition_of(view, broken, lower)
    assert not found.is_all_broken
    assert found.highest_expected_speed.point.lr_multiplier <= 0.02 * 4.1


def test_a_batch_that_was_asked_for_is_the_only_one(begin: Begin) -> None:
    view = begin(a_simulated(), effective_batch_size=96)
    acquisition = acquisition_of(view, tried(0, 1.0, 4.0))
    sizes = {
        p.point.effective_batch_size
        for p in (acquisition.least_expected_regret, acquisition.highest_expected_speed)
    }
    assert sizes == {96}


@pytest.mark.parametrize("family", list(OptimizerFamily))
def test_it_is_the_same_again(begin: Begin, family: OptimizerFamily) -> None:
    view = begin(a_simulated(family))
    trials = tried(0, 1.0, 4.0), tried(1, 3.0, 2.0, batch_size=128)
    one, other = (acquisition_of(view, *trials) for _ in range(2))
    assert one.highest_expected_speed == other.highest_expected_speed
    assert one.least_expected_regret == other.least_expected_regret
    assert bool((one.law.noise_scale > 0).all()) == (family is not OptimizerFamily.SGD)


def explored(view: LogView, target_loss: float | None) -> Point:
    reference = tried(0, 1.0, 4.0, target_loss=target_loss)
    return acquisition_of(view, reference).highest_expected_speed.point


def test_the_noisier_the_gradients_the_larger_the_batch_until_the_target_is_reached(
    begin: Begin,
) -> None:
    quiet, noisy = (begin(a_simulated(gradient_noise=noise)) for noise in (0.1, 40.0))
    sizes = [explored(view, None).effective_batch_size for view in (quiet, noisy)]
    assert sizes[0] < sizes[1]
    lowest = tried(0, 1.0, 4.0).curve.losses[-1]
    assert explored(quiet, 1.5 * lowest) == explored(noisy, 1.5 * lowest)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999, 1.0, None])
def test_momentum_makes_early_trials_less_informative_about_noise(
    begin: Begin, momentum: float | None
) -> None:
    def largest_rate(momentum: float | None) -> float:
        profile = a_profile(
            optimizer=an_optimizer(family=OptimizerFamily.SGD, momentum=momentum),
            reference_batch_size=32,
            reference_learning_rate=RATE,
        )
        view = begin(SimulatedDevice(profile=profile, fixed_time_s=0.5, sample_time_s=1e-3))
        law = acquisition_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 4.0)).law
        return float(np.exp(law.mean(np.log(law.largest_rate))))

    if momentum in (0.9, 0.999):
        assert largest_rate(momentum) > largest_rate(None)
    else:
        assert largest_rate(momentum) == largest_rate(None)
