"""What settings promise that were not tried."""

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


def prospects_of(view: LogView, *trials: Trial) -> Acquisition:
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


def test_before_anything_is_known_something_hotter_is_hoped_for(view: LogView) -> None:
    prospects = prospects_of(view, tried(0, 1.0, 4.0))
    hopeful, surest = prospects.most_hopeful, prospects.surest
    assert 1.5 < hopeful.point.lr_multiplier <= 4.1
    assert surest.behind < hopeful.behind
    assert surest.behind > 0.3, "little is sure yet"


def test_no_setting_is_hoped_for_that_is_far_hotter_than_what_trained_well(view: LogView) -> None:
    cold = prospects_of(view, tried(0, 1.0, 4.0))
    warm = prospects_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 1.0))
    burnt = prospects_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 8.0, diverged=True))
    assert warm.most_hopeful.point.lr_multiplier > cold.most_hopeful.point.lr_multiplier
    assert burnt.most_hopeful.point.lr_multiplier <= cold.most_hopeful.point.lr_multiplier
    assert burnt.surest.point.lr_multiplier < warm.surest.point.lr_multiplier


def test_what_was_as_quick_as_the_flow_was_not_hot(begin: Begin) -> None:
    view = begin(a_simulated(gradient_noise=0.1))
    flowing = prospects_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 1.0)).law
    hindered = prospects_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 4.0)).law
    hot = (32, 4 * RATE)
    assert (
        flowing.mean(flowing.log_slowdown(*hot)) < 0.5 < hindered.mean(hindered.log_slowdown(*hot))
    )


def test_the_dearer_a_sample_is_the_smaller_the_batch(begin: Begin) -> None:
    sizes = []
    for fixed_time_s, sample_time_s in ((0.05, 1e-6), (1e-4, 1e-3)):
        simulated = a_simulated(fixed_time_s=fixed_time_s, sample_time_s=sample_time_s)
        prospects = prospects_of(begin(simulated), tried(0, 1.0, 4.0), tried(1, 4.0, 1.5))
        sizes.append(prospects.surest.point.effective_batch_size)
    assert sizes[0] > 4 * sizes[1]


def test_a_recipe_that_broke_is_not_what_the_law_is_about(view: LogView) -> None:
    broken = tried(0, 1.0, 1.0, diverged=True)
    cooler = tried(1, 0.02, 1.0)
    assert prospects_of(view, broken).is_lost
    found = prospects_of(view, broken, cooler)
    assert not found.is_lost
    assert found.most_hopeful.point.lr_multiplier <= 0.02 * 4.1


def test_a_batch_that_was_asked_for_is_the_only_one(begin: Begin) -> None:
    view = begin(a_simulated(), effective_batch_size=96)
    prospects = prospects_of(view, tried(0, 1.0, 4.0))
    sizes = {p.point.effective_batch_size for p in (prospects.surest, prospects.most_hopeful)}
    assert sizes == {96}


@pytest.mark.parametrize("family", list(OptimizerFamily))
def test_it_is_the_same_again(begin: Begin, family: OptimizerFamily) -> None:
    view = begin(a_simulated(family))
    trials = tried(0, 1.0, 4.0), tried(1, 3.0, 2.0, batch_size=128)
    one, other = (prospects_of(view, *trials) for _ in range(2))
    assert one.most_hopeful == other.most_hopeful
    assert one.surest == other.surest
    assert bool((one.law.noise_scale > 0).all()) == (family is not OptimizerFamily.SGD)


def hoped_for(view: LogView, target_loss: float | None) -> Point:
    reference = tried(0, 1.0, 4.0, target_loss=target_loss)
    return prospects_of(view, reference).most_hopeful.point


def test_the_noisier_the_gradients_the_larger_the_batch_until_the_target_is_reached(
    begin: Begin,
) -> None:
    quiet, noisy = (begin(a_simulated(gradient_noise=noise)) for noise in (0.1, 40.0))
    sizes = [hoped_for(view, None).effective_batch_size for view in (quiet, noisy)]
    assert sizes[0] < sizes[1]
    lowest = tried(0, 1.0, 4.0).curve.losses[-1]
    assert hoped_for(quiet, 1.5 * lowest) == hoped_for(noisy, 1.5 * lowest)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999, 1.0, None])
def test_momentum_makes_early_trials_say_less_of_heat(begin: Begin, momentum: float | None) -> None:
    def largest_rate(momentum: float | None) -> float:
        profile = a_profile(
            optimizer=an_optimizer(family=OptimizerFamily.SGD, momentum=momentum),
            reference_batch_size=32,
            reference_learning_rate=RATE,
        )
        view = begin(SimulatedDevice(profile=profile, fixed_time_s=0.5, sample_time_s=1e-3))
        law = prospects_of(view, tried(0, 1.0, 4.0), tried(1, 4.0, 4.0)).law
        return float(np.exp(law.mean(np.log(law.largest_rate))))

    if momentum in (0.9, 0.999):
        assert largest_rate(momentum) > largest_rate(None)
    else:
        assert largest_rate(momentum) == largest_rate(None)
