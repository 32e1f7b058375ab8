"""The choice among trials: the middle of those that are about as good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import pytest
from bsadvise.model.advice import Evidence
from bsadvise.model.request import Objective

from advisor.planning.answer.choice import Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.trials.trials import Trial
from tests.planning.conftest import Begin
from tests.support.given_trials import GivenTrials, Loss, a_trial, power_law
from tests.support.simulated_device import SimulatedDevice

TARGET = 0.5
END_S = 8.0


@dataclass(frozen=True)
class GivenSearch(TrialSearch):
    """A search whose trials no log tells of.

    Attributes:
        given: All of them, the reference first.
    """

    given: tuple[Trial, ...] = ()

    @cached_property
    def trials(self) -> GivenTrials:
        """What was given."""
        return GivenTrials(self.view, self.given)


@dataclass(frozen=True)
class GivenChooser(Chooser):
    """Chooses from trials that no log tells of.

    Attributes:
        given: All of them, the reference first.
    """

    given: tuple[Trial, ...] = ()

    @cached_property
    def search(self) -> GivenSearch:
        """The search that was given."""
        return GivenSearch(self.view, self.given)


def _settling(time_s: float) -> float:
    """Return the loss of a training that soon falls no further than 1."""
    return 1 + 0.5 * (time_s / 0.5) ** -3


@pytest.fixture
def view(begin: Begin) -> LogView:
    """The log of a recommendation up to its first trial."""
    return begin(SimulatedDevice())


@pytest.fixture
def view_with_target(begin: Begin) -> LogView:
    """The same for a request that names a target."""
    return begin(SimulatedDevice(), target_loss=TARGET)


def _chosen(view: LogView, *trials: Trial) -> int:
    """Return the number of the trial that is chosen."""
    choice = GivenChooser(view, trials).choice
    assert choice is not None
    assert choice.trial is not None
    assert choice.evidence is Evidence.MEASURED
    assert choice.learning_rate == choice.trial.learning_rate
    return choice.trial.number


def _reaching(number: int, time_to_target_s: float, **setting: float) -> Trial:
    """Return a trial that comes to the target in so many seconds, and was trained a bit on."""
    loss: Loss = lambda time_s: TARGET * (time_s / time_to_target_s) ** -0.5  # noqa: E731 - a formula
    trial = a_trial(number, loss, end_s=1.1 * time_to_target_s, target_loss=TARGET, **setting)  # type: ignore[arg-type] # a size
    return replace(trial, time_to_target_s=time_to_target_s)


def test_of_trials_that_arrived_about_as_soon_the_middle_is_chosen(
    view_with_target: LogView,
) -> None:
    trials = [
        _reaching(0, 16.0, lr_multiplier=0.25),
        _reaching(1, 4.1, lr_multiplier=1.0),
        _reaching(2, 4.0, lr_multiplier=2.0),
        _reaching(3, 3.9, lr_multiplier=4.0),
        _reaching(4, 12.0, lr_multiplier=8.0),
    ]
    assert _chosen(view_with_target, *trials) == 2


def test_one_that_arrived_clearly_sooner_is_chosen_though_it_lies_at_an_end(
    view_with_target: LogView,
) -> None:
    trials = [_reaching(n, 4.0, lr_multiplier=2.0**n) for n in range(4)]
    assert _chosen(view_with_target, *trials, _reaching(4, 2.0, lr_multiplier=16.0)) == 4


def test_what_other_weights_took_counts(view_with_target: LogView) -> None:
    early_once = replace(_reaching(1, 3.0), replicates_s=(9.0, 9.0))
    steady = replace(_reaching(2, 4.0, lr_multiplier=2.0), replicates_s=(4.0, 4.0))
    assert _chosen(view_with_target, _reaching(0, 16.0), early_once, steady) == 2


def test_one_that_did_not_arrive_is_not_chosen_where_others_did(view_with_target: LogView) -> None:
    stuck = [a_trial(n, power_law(0.01), end_s=4.4, target_loss=TARGET) for n in (2, 3, 4)]
    assert _chosen(view_with_target, _reaching(0, 16.0), _reaching(1, 4.0), *stuck) == 1


def test_short_of_the_target_the_middle_of_the_most_promising_is_chosen(
    view_with_target: LogView,
) -> None:
    trials = [
        a_trial(0, power_law(scale=8.0), end_s=END_S, target_loss=TARGET),
        *(
            a_trial(n, power_law(scale=3.0), target_loss=TARGET, lr_multiplier=multiplier)
            for n, multiplier in ((1, 0.97), (2, 1.0), (3, 1.03))
        ),
    ]
    assert not any(trial.time_to_target_s for trial in trials)
    assert _chosen(view_with_target, *trials) == 2


def test_without_a_target_it_is_the_middle_too_while_the_reference_falls(view: LogView) -> None:
    trials = [
        a_trial(0, power_law(scale=8.0)),
        *(
            a_trial(n, power_law(scale=3.0), lr_multiplier=multiplier)
            for n, multiplier in ((1, 1.03), (2, 0.97), (3, 1.0))
        ),
        a_trial(4, power_law(scale=6.0), lr_multiplier=0.5),
    ]
    assert _chosen(view, *trials) == 3


def test_where_the_reference_has_settled_the_largest_of_the_first_is_chosen(
    view: LogView,
) -> None:
    trials = [
        a_trial(0, _settling),
        a_trial(1, lambda time_s: _settling(2 * time_s), batch_size=8),
        a_trial(2, lambda time_s: _settling(1.98 * time_s), batch_size=64),
        a_trial(3, lambda time_s: _settling(1.2 * time_s), batch_size=256),
    ]
    assert _chosen(view, *trials) == 2


def test_where_the_reference_has_settled_nothing_is_chosen_that_is_expected_to_be_slower(
    view: LogView,
) -> None:
    def a_little_sooner(time_s: float) -> float:
        return _settling(1.15 * time_s)

    reference = a_trial(0, _settling)
    assert _chosen(view, reference, a_trial(1, a_little_sooner, lr_multiplier=0.9)) == 1
    assert _chosen(view, reference, a_trial(1, a_little_sooner, lr_multiplier=4.0)) == 0


def test_a_reference_that_has_hardly_begun_to_learn_has_not_settled(view: LogView) -> None:
    trials = [
        a_trial(0, lambda time_s: 2.3 - 1e-4 * time_s),
        a_trial(1, power_law(), lr_multiplier=4.0),
    ]
    chooser = GivenChooser(view, tuple(trials))
    assert _chosen(view, *trials) == 1
    assert chooser.target_loss == chooser.nearly(trials[1].curve.best_loss)


def test_short_of_a_target_it_does_not_matter_whether_the_reference_has_settled(
    view_with_target: LogView,
) -> None:
    trials = [
        a_trial(0, _settling),
        a_trial(1, lambda time_s: _settling(2 * time_s)),
        a_trial(2, power_law(scale=1.9)),
    ]
    assert not any(trial.time_to_target_s for trial in trials)
    assert _chosen(view_with_target, *trials) == 2


def test_a_setting_that_looks_slower_than_the_reference_is_not_chosen_for_its_place(
    view_with_target: LogView,
) -> None:
    trials = [
        _reaching(0, 4.0, lr_multiplier=1.0),
        _reaching(1, 4.1, lr_multiplier=2.0),
        _reaching(2, 4.2, lr_multiplier=4.0),
    ]
    assert _chosen(view_with_target, *trials) == 0


def test_a_trial_that_diverged_is_never_chosen(view: LogView) -> None:
    sound = a_trial(0, power_law())
    broken = a_trial(1, power_law(scale=0.1), diverged=True)
    assert _chosen(view, sound, broken) == 0
    alone = GivenChooser(view, (broken,)).choice
    assert alone is not None
    assert alone.evidence is Evidence.RULE


def test_the_fewest_samples_are_counted_to_the_target(view_with_target: LogView) -> None:
    request = replace(view_with_target.request, objective=Objective.SAMPLES)
    trials = [
        _reaching(0, 16.0),
        _reaching(1, 4.0, batch_size=512),
        _reaching(2, 5.0, batch_size=8),
    ]
    assert _chosen(view_with_target, *trials) == 1
    assert _chosen(replace(view_with_target, request=request), *trials) == 2


@pytest.mark.parametrize(
    ("objective", "chosen"), [(Objective.TIME, 1), (Objective.COST, 1), (Objective.SAMPLES, 2)]
)
def test_at_a_fixed_price_the_cost_is_chosen_as_the_time_is(
    begin: Begin, objective: Objective, chosen: int
) -> None:
    view = begin(SimulatedDevice(), objective=objective, target_loss=TARGET, device_hour_price=3.6)
    trials = [
        _reaching(0, 16.0),
        _reaching(1, 4.0, batch_size=256),
        _reaching(2, 6.0, batch_size=8),
    ]
    assert _chosen(view, *trials) == chosen
