"""What is trained, how far and how often: the race to a target, within the budget."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import geometric_mean

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import Command, Train
from bsadvise.model.measurements import Log, Measurement, OutOfMemory, TrainRun
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import OptimizerFamily

from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.trial_search import TrialSearch
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_profile, a_request, an_optimizer
from tests.support.simulated_device import SimulatedDevice

TARGET = 0.06
PLENTY_S = 240.0

_SGD = an_optimizer(optimizer_name="SGD", family=OptimizerFamily.SGD)


@dataclass(frozen=True)
class Searched:
    """A recommendation that was carried to its end.

    Attributes:
        request: What was asked.
        log: What was measured.
        advice: The answer.
    """

    request: AdviceRequest
    log: Log
    advice: Advice

    def search(self, length: int | None = None) -> TrialSearch:
        """Return the trials as they stood when the log was so long."""
        return TrialSearch(LogView(self.request, (a_device(),), self.log[:length]))

    def trainings(self) -> Iterator[tuple[TrialSearch, Train, Measurement]]:
        """Yield each training with the trials as they stood before it."""
        for index, entry in enumerate(self.log):
            if isinstance(entry.command, Train):
                yield self.search(index), entry.command, entry


def _simulated(**changes: float) -> SimulatedDevice:
    profile = a_profile(optimizer=_SGD, reference_batch_size=32, reference_learning_rate=0.05)
    figures = {"fixed_time_s": 0.02, "sample_time_s": 2e-4} | changes
    return SimulatedDevice(profile=profile, **figures)  # type: ignore[arg-type] # any figure


def _search(
    recommend: Recommend, simulated: SimulatedDevice | None = None, **changes: object
) -> Searched:
    simulated = simulated or _simulated()
    request = a_request(
        **{"memory_limit_bytes": simulated.limit_bytes, "target_loss": TARGET, **changes}
    )
    advice, log = recommend(simulated, request)
    assert isinstance(advice, Advice)
    return Searched(request, log, advice)


def _end_s(search: TrialSearch, command: Train) -> float:
    """Return the modelled seconds from fresh weights to the end of a rung."""
    begun = command.first_sample // command.effective_batch_size
    return (begun + command.step_count) * _step_time_s(search, command)


def _step_time_s(search: TrialSearch, command: Train) -> float:
    split = search.cost.split(command.effective_batch_size)
    assert split is not None
    return search.cost.step_time_s(split)


@pytest.mark.parametrize("budget_s", [60.0, PLENTY_S])
def test_no_trial_is_trained_for_much_longer_than_the_fastest_needed(
    recommend: Recommend, budget_s: float
) -> None:
    raced = 0
    for search, command, _ in _search(recommend, budget_s=budget_s).trainings():
        shortest_time_to_target_s = search.trials.shortest_time_to_target_s
        if shortest_time_to_target_s is None or command.replicate or command.trial == 0:
            continue
        raced += 1
        step_time_s = _step_time_s(search, command)
        assert _end_s(search, command) <= 1.3 * shortest_time_to_target_s + step_time_s
    assert raced > 2


def test_a_trial_that_has_reached_the_target_is_trained_no_further(recommend: Recommend) -> None:
    for search, command, _ in _search(recommend, budget_s=PLENTY_S).trainings():
        reached = {t.number for t in search.trials.all if t.time_to_target_s is not None}
        assert command.replicate or command.trial not in reached


@pytest.mark.parametrize(
    ("budget_s", "wall_factor", "target_loss"),
    [(20.0, 1.2, TARGET), (20.0, 3.0, None), (60.0, 3.0, TARGET), (60.0, 1.2, None)],
)
def test_no_rung_is_asked_for_that_cannot_be_afforded(
    recommend: Recommend, budget_s: float, wall_factor: float, target_loss: float | None
) -> None:
    simulated = _simulated(wall_factor=wall_factor)
    searched = _search(recommend, simulated, budget_s=budget_s, target_loss=target_loss)
    reserve_s = searched.search().schedule.reserve_s
    left_s = budget_s
    for entry in searched.log:
        left_s -= entry.wall_s
        command, run = entry.command, entry.outcome
        if isinstance(command, Train) and command.trial is not None:
            assert isinstance(run, TrainRun)
            has_reached = target_loss is not None and (run.held_out_loss or 0.0) <= target_loss
            assert run.step_count == command.step_count or has_reached, "it was cut short"
            assert left_s >= reserve_s - 0.1
    assert left_s >= 0


@pytest.mark.parametrize("budget_s", [20.0, 25.0, 35.0, 60.0])
def test_a_rung_is_shorter_only_where_the_budget_leaves_no_more(
    recommend: Recommend, budget_s: float
) -> None:
    cut = 0
    for search, command, _ in _search(recommend, budget_s=budget_s, target_loss=None).trainings():
        if command.trial is None:
            continue
        end_s, step_time_s = _end_s(search, command), _step_time_s(search, command)
        whole_s = (
            2 * search.trials.all[command.trial].end_s
            if command.start_checkpoint
            else search.schedule.first_rung_s(step_time_s)
        )
        whole_s = min(whole_s, search.schedule.horizon_s)
        if end_s + step_time_s < whole_s:
            cut += 1
            step_count = command.step_count + round((whole_s - end_s) / step_time_s)
            whole = replace(command, step_count=step_count)
            assert not search.schedule.is_affordable(whole)
            assert whole_s / end_s < 2.1
    assert cut


def test_with_time_to_spare_the_leaders_and_the_reference_are_trained_again(
    recommend: Recommend,
) -> None:
    searched = _search(recommend, budget_s=PLENTY_S)
    search = searched.search()
    reference, best = search.trials.reference, search.ranking.best
    assert reference is not None
    assert best is not None
    assert len(reference.replicates_s) == 2
    again = [trial for trial in search.trials.all if trial.replicates_s]
    assert best in again
    assert len(again) >= 3
    for trial in again:
        assert trial.time_to_target_s is not None
        own_s = (trial.time_to_target_s, *trial.replicates_s)
        assert len(set(own_s)) == len(own_s), "other weights take another time"
        assert trial.typical_time_to_target_s == pytest.approx(geometric_mean(own_s))
    assert searched.advice.search.trial_count == len(search.trials.all)


def test_replicates_come_in_order_each_from_fresh_weights(recommend: Recommend) -> None:
    numbers: dict[int | None, list[int]] = {}
    for search, command, _ in _search(recommend, budget_s=PLENTY_S).trainings():
        if not command.replicate:
            continue
        numbers.setdefault(command.trial, []).append(command.replicate)
        best, trial = search.ranking.best, search.trials.all[command.trial or 0]
        assert best is not None
        assert trial.time_to_target_s is not None
        contenders = search.ranking.seed_variance.contenders(search.trials.all)
        assert trial in contenders or trial.number == 0
        assert (command.first_sample, command.start_checkpoint) == (0, None)
        assert command.save_checkpoint is None
        assert command.learning_rate == trial.learning_rate
        assert _end_s(search, command) >= trial.time_to_target_s
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    assert 2 <= max(map(len, numbers.values())) <= 4


def test_replicates_are_no_trials_of_their_own(recommend: Recommend) -> None:
    searched = _search(recommend, budget_s=PLENTY_S, max_trials=3)
    assert searched.advice.search.trial_count == 3
    assert any(command.replicate for _, command, _ in searched.trainings())


def test_a_replicate_that_fails_counts_as_one_that_never_reaches_the_target(
    recommend: Recommend,
) -> None:
    simulated = _simulated()
    honest = simulated.measure

    def measure_failing(command: Command) -> Measurement:
        entry = honest(command)
        if isinstance(command, Train) and command.replicate:
            return replace(entry, outcome=OutOfMemory(message="out of memory"))
        return entry

    simulated.measure = measure_failing  # type: ignore[method-assign] # a fault
    searched = _search(recommend, simulated, budget_s=PLENTY_S, max_trials=4)
    again = [trial for trial in searched.search().trials.all if trial.replicates_s]
    assert again
    for trial in again:
        assert trial.is_sound
        assert trial.time_to_target_s is not None
        assert min(trial.replicates_s) > 2 * trial.time_to_target_s
    assert searched.advice.verified


def test_without_a_target_nothing_is_replicated(recommend: Recommend) -> None:
    trainings = [c for _, c, _ in _search(recommend, target_loss=None).trainings()]
    assert not any(command.replicate for command in trainings)
    assert all(command.target_loss is None for command in trainings)


def test_the_reference_is_followed_to_the_target_where_there_is_time(recommend: Recommend) -> None:
    search = _search(recommend, budget_s=PLENTY_S).search()
    reference, shortest_time_to_target_s = (
        search.trials.reference,
        search.trials.shortest_time_to_target_s,
    )
    assert reference is not None
    assert reference.time_to_target_s is not None
    assert shortest_time_to_target_s is not None
    assert reference.time_to_target_s > 2 * shortest_time_to_target_s


def test_the_dearer_looks_are_the_fewer_are_taken(recommend: Recommend) -> None:
    counts = []
    for look_s in (0.001, 0.05, 0.2, 2.0):
        searched = _search(recommend, _simulated(look_s=look_s), max_trials=2)
        trainings = list(searched.trainings())
        for search, command, _ in trainings:
            marks = command.evaluation_steps
            rung_s = command.step_count * _step_time_s(search, command)
            assert len(marks) <= 2 or look_s * len(marks) <= 0.15 * rung_s
        counts.append(len(trainings[0][1].evaluation_steps))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > counts[-1] >= 0


@pytest.mark.parametrize("step_time_s", [0.02, 0.2, 0.6])
def test_a_first_rung_holds_a_few_steps_of_the_reference(
    recommend: Recommend, step_time_s: float
) -> None:
    simulated = _simulated(fixed_time_s=step_time_s, wall_factor=1.0)
    reference_run = next(command for _, command, _ in _search(recommend, simulated).trainings())
    assert reference_run.trial is None
    assert reference_run.step_count >= 6


def test_no_trial_is_trained_beyond_the_horizon(recommend: Recommend) -> None:
    for search, command, _ in _search(recommend, target_loss=None).trainings():
        most_s = search.schedule.horizon_s + _step_time_s(search, command)
        assert _end_s(search, command) <= most_s


@pytest.mark.parametrize("target_loss", [None, TARGET])
def test_noise_is_measured_in_every_rung_of_the_reference_alone(
    recommend: Recommend, target_loss: float | None
) -> None:
    searched = _search(recommend, max_trials=4, target_loss=target_loss)
    measured: list[int] = []
    for _, command, entry in searched.trainings():
        is_reference = command.trial in (None, 0) and not command.replicate
        assert command.measure_noise == is_reference
        assert isinstance(entry.outcome, TrainRun)
        assert (entry.outcome.gradient_norms is not None) == is_reference
        if is_reference:
            measured.append(command.first_sample)
    assert len(measured) >= 2
    assert all(left < right for left, right in itertools.pairwise(measured))
