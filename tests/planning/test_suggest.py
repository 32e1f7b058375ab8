"""Which setting is tried next, and when none is worth its time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from bsadvise.model.commands import TrialOrigin
from bsadvise.model.task import OptimizerFamily

from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.batch_sizes import BatchSizes
from advisor.planning.trials.range_test import suggested_rate
from advisor.planning.trials.rung_schedule import RungSchedule
from advisor.planning.trials.suggest import Suggester
from advisor.planning.trials.trials import Trial
from advisor.ports.proposer import Point, Proposer, Study, Suggestion
from tests.planning.conftest import Begin
from tests.support.builders import a_profile, an_optimizer
from tests.support.given_trials import a_trial, power_law, ranking_of
from tests.support.proposer_contract import ProposerContract
from tests.support.simulated_device import SimulatedDevice

SGD = an_optimizer(optimizer_name="SGD", family=OptimizerFamily.SGD, default_learning_rate=1e-3)

Slowness = Callable[[Point], float]


@dataclass
class CornerProposer(Proposer):
    """Proposes the largest batch and rate that it may.

    Attributes:
        studies: Those in which it chose.
    """

    studies: list[Study] = field(default_factory=list)

    def propose(self, study: Study) -> Suggestion:
        if study.suggestion is not None:
            return study.suggestion
        self.studies.append(study)
        corner = Point(
            effective_batch_size=study.largest_batch_size,
            lr_multiplier=study.largest_multiplier,
        )
        return Suggestion(point=corner, origin=TrialOrigin.SAMPLER)


class TestCornerProposer(ProposerContract):
    def make(self) -> CornerProposer:
        return CornerProposer()


@dataclass
class Search:
    """A search whose trials follow a formula.

    Attributes:
        view: The log before it.
        slowness: How many times as long a setting needs as the best that there could be.
        end_s: How far every trial is trained.
        proposer: Asked when structure has nothing more to say.
        trials: The trials so far.
        origins: Why each but the reference was tried.
    """

    view: LogView
    slowness: Slowness
    end_s: float = 1.0
    proposer: CornerProposer = field(default_factory=CornerProposer)
    trials: list[Trial] = field(default_factory=list)
    origins: list[TrialOrigin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add(Point(effective_batch_size=32, lr_multiplier=1.0))

    @property
    def suggester(self) -> Suggester:
        return Suggester(ranking_of(*self.trials, view=self.view), BatchSizes(self.view))

    @property
    def points(self) -> list[Point]:
        return [trial.point for trial in self.trials]

    def add(self, point: Point) -> None:
        slowness = self.slowness(point)
        rate = ranking_of(view=self.view).trials.learning_rate(point)
        self.trials.append(
            a_trial(
                len(self.trials),
                lambda time_s: power_law(scale=0.05)(time_s / slowness),
                end_s=self.end_s,
                batch_size=point.effective_batch_size,
                lr_multiplier=point.lr_multiplier,
                learning_rate=rate,
            )
        )

    def try_suggestions(self, most: int = 30) -> None:
        """Go on until what the scaling model suggests was tried."""
        for _ in range(most):
            suggestion = self.suggester.suggested(self.proposer)
            if suggestion is None:
                return
            self.origins.append(suggestion.origin)
            self.add(suggestion.point)
        raise AssertionError("it suggests without end")

    def run(self, most: int = 60) -> None:
        """Go on until no setting is worth its time."""
        self.try_suggestions()
        self.look_about(most)

    def look_about(self, most: int = 60) -> None:
        """Go on with neighbours of the best until no setting is worth its time."""
        for _ in range(most):
            suggestion = self.suggester.explored(self.proposer)
            if suggestion is None:
                return
            self.origins.append(suggestion.origin)
            self.add(suggestion.point)
        raise AssertionError("the search does not end")


def bowl(size: int, multiplier: float) -> Slowness:
    def slowness(point: Point) -> float:
        across = math.log2(point.lr_multiplier / multiplier)
        along = math.log2(point.effective_batch_size / size)
        return 2 ** (across**2 + 0.2 * along**2)

    return slowness


def a_simulated(**changes: Any) -> SimulatedDevice:
    rate = changes.pop("learning_rate", 0.05)
    profile = a_profile(optimizer=SGD, reference_batch_size=32, reference_learning_rate=rate)
    return SimulatedDevice(
        **{"profile": profile, "fixed_time_s": 0.02, "sample_time_s": 2e-4, **changes}
    )


@pytest.fixture
def view(begin: Begin) -> LogView:
    """The log of a recommendation up to its first trial."""
    return begin(a_simulated())


@pytest.fixture
def view_without_rate(begin: Begin) -> LogView:
    """The same where the user names no learning rate."""
    return begin(a_simulated(learning_rate=None))


def test_suggested_rates_are_above_the_reference_and_never_by_far(view: LogView) -> None:
    search = Search(view, bowl(64, 2.0))
    search.try_suggestions()
    largest = 1.0
    for point in search.points[1:]:
        assert point.lr_multiplier <= 4.1 * largest
        largest = max(largest, point.lr_multiplier)
    assert 2 <= len(search.points) <= 20
    assert search.points[1].lr_multiplier > 1
    assert len(set(search.points)) == len(search.points)


@pytest.mark.parametrize(("size", "multiplier"), [(64, 4.0), (128, 1.0), (32, 8.0)])
def test_the_suggestion_comes_near_the_best(view: LogView, size: int, multiplier: float) -> None:
    slowness = bowl(size, multiplier)
    search = Search(view, slowness)
    search.try_suggestions()
    assert min(map(slowness, search.points)) < max(2.0, 0.5 * slowness(search.points[0]))


def test_while_nothing_trains_well_rates_fall_by_large_steps(view: LogView) -> None:
    broken = [
        replace(a_trial(n, power_law(), lr_multiplier=1.0 / 8**n, diverged=True), number=n)
        for n in range(3)
    ]
    suggester = Suggester(ranking_of(*broken, view=view), BatchSizes(view))
    point = suggester.predicted_point()
    assert point is not None
    assert point.effective_batch_size == 32
    assert point.lr_multiplier == pytest.approx(1 / 8**3)
    endless = [a_trial(n, power_law(), lr_multiplier=1.0 / 8**n, diverged=True) for n in range(6)]
    suggester = Suggester(ranking_of(*endless, view=view), BatchSizes(view))
    assert suggester.predicted_point() is None, "it is not the rate that is at fault"


@pytest.mark.parametrize(("size", "multiplier"), [(64, 4.0), (32, 1.0), (256, 0.3)])
def test_the_sampler_is_asked_when_all_neighbours_were_tried(
    view: LogView, size: int, multiplier: float
) -> None:
    search = Search(view, bowl(size, multiplier))
    search.run()
    first = search.origins.index(TrialOrigin.SAMPLER)
    assert set(search.origins[first:]) == {TrialOrigin.SAMPLER}
    assert len(search.proposer.studies) == len(search.origins) - first
    tried = search.points[: first + 1]
    best = ranking_of(*search.trials[: first + 1], view=view).best
    assert best is not None
    for batch_factor, factor in ((2, 1), (0.5, 1), (1, 1.7), (1, 1 / 1.7)):
        target_size = batch_factor * best.point.effective_batch_size
        assert any(
            abs(math.log2(point.effective_batch_size / target_size)) <= 0.51
            and abs(math.log2(point.lr_multiplier / (factor * best.point.lr_multiplier))) <= 0.4
            for point in tried
        )
    log_ratio = math.log2(best.point.lr_multiplier / multiplier)
    assert abs(log_ratio) <= 1.3, "the ridge was found"


def test_the_search_ends_when_trials_bring_nothing(view: LogView) -> None:
    search = Search(view, bowl(64, 4.0))
    search.run()
    best = ranking_of(*search.trials, view=view).best
    assert best is not None
    assert 4 <= len(search.trials) - 1 - best.number <= 20
    assert search.suggester.explored(search.proposer) is None


def test_what_the_sampler_finds_is_followed_up(view: LogView) -> None:
    valley, hidden = bowl(64, 1.0), bowl(512, 8.0)
    search = Search(view, lambda point: min(valley(point), 0.25 * hidden(point)))
    search.look_about()
    first = search.origins.index(TrialOrigin.SAMPLER)
    assert TrialOrigin.NEIGHBOUR in search.origins[first:]
    best = ranking_of(*search.trials, view=view).best
    assert best is not None
    assert best.number > first


def test_the_sampler_looks_about_the_best(view: LogView) -> None:
    search = Search(view, bowl(64, 4.0))
    search.run()
    bounds, best = search.suggester.bounds, ranking_of(*search.trials, view=view).best
    assert best is not None
    for study in search.proposer.studies:
        sizes = study.smallest_batch_size, study.largest_batch_size
        assert bounds.smallest_batch_size <= sizes[0] < best.point.effective_batch_size < sizes[1]
        assert sizes[1] <= bounds.largest_batch_size
        assert study.smallest_multiplier < best.point.lr_multiplier < study.largest_multiplier
        assert study.largest_multiplier / study.smallest_multiplier < 100
    counts = [len(study.trials) for study in search.proposer.studies]
    assert counts == list(range(counts[0], len(search.trials)))


def test_what_a_range_test_suggests_is_tried_first(view_without_rate: LogView) -> None:
    rate = suggested_rate(view_without_rate)
    assert rate is not None
    search = Search(view_without_rate, bowl(64, 100.0))
    search.run()
    assert search.points[1] == Point(effective_batch_size=32, lr_multiplier=rate / 1e-3)
    assert search.trials[1].learning_rate == pytest.approx(rate)
    assert search.origins[0] is TrialOrigin.SUGGESTED
    assert search.points[1] not in search.points[2:]


def test_bounds_are_widened_to_what_a_range_test_suggests(
    view: LogView, view_without_rate: LogView
) -> None:
    rate = suggested_rate(view_without_rate)
    assert rate is not None
    usual = Search(view, bowl(64, 1.0)).suggester.bounds
    wide = Search(view_without_rate, bowl(64, 1.0)).suggester.bounds
    assert usual.largest_multiplier == pytest.approx(1 / usual.smallest_multiplier)
    suggested = rate / 1e-3
    assert suggested > 10
    assert wide.largest_multiplier == pytest.approx(suggested * usual.largest_multiplier)
    assert wide.smallest_multiplier == usual.smallest_multiplier


def test_a_batch_that_was_asked_for_is_the_only_one(begin: Begin) -> None:
    search = Search(begin(a_simulated(), effective_batch_size=96), bowl(64, 4.0))
    search.run()
    assert {point.effective_batch_size for point in search.points[1:]} == {96}


def test_a_sampler_learns_how_far_a_trial_came_and_what_went_wrong(begin: Begin) -> None:
    view = begin(a_simulated(), target_loss=0.5)
    horizon_s = RungSchedule(view).horizon_s
    short, long = (a_trial(n, power_law(0.01), end_s=horizon_s / d) for n, d in ((0, 8), (1, 1)))
    reached = a_trial(2, power_law(), end_s=horizon_s / 2, target_loss=0.5)
    broken = a_trial(3, power_law(), end_s=horizon_s, diverged=True)
    suggester = Suggester(ranking_of(short, long, reached, broken, view=view), BatchSizes(view))
    records = suggester.study(suggester.bounds).trials
    deepest = [max(record.losses, default=-1) for record in records]
    assert deepest[0] == deepest[1] - 3
    assert deepest[2] == deepest[1], "one that is there has nothing more to lose"
    assert [record.was_pruned for record in records] == [True, False, False, False]
    assert records[2].losses[deepest[2]] <= 0.5
    assert not records[3].losses
    assert [record.excess > 0 for record in records] == [False, False, False, True]
