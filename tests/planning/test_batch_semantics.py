"""What follows from the loss of a batch: rates, comparisons, splits and what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bsadvise.model.advice import Advice, Refusal, RefusalCode
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import Command, Evaluate, RangeTest, Train, Verify
from bsadvise.model.measurements import Log, Measurement, TrainRun
from bsadvise.model.request import Objective
from bsadvise.model.task import BatchSemantics, OptimizerFamily, OptimizerProfile
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.answer.batch_caveats import about_schedule
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import mean_loss_rate, scaled_rate
from advisor.planning.trials.trial_search import TrialSearch
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_profile, a_request, an_inspection, an_optimizer
from tests.support.simulated_device import SimulatedDevice

SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)
SIZES = st.integers(1, 1 << 16)


def a_task(semantics: BatchSemantics | None, **changes: Any) -> SimulatedDevice:
    """Return a task whose step takes so long that larger batches pay; 974 samples fit."""
    profile: dict[str, Any] = {"optimizer": SGD, "reference_learning_rate": 0.05}
    profile |= {"batch_semantics": semantics, "reference_batch_size": 32} | changes
    return SimulatedDevice(profile=a_profile(**profile), fixed_time_s=0.02, sample_time_s=2e-4)


class SummingDevice(SimulatedDevice):
    """The same task, whose user sums where the other averages: B times the gradient."""

    def measure(self, command: Command) -> Measurement:
        if isinstance(command, Train):
            size = command.effective_batch_size
            own = replace(command, learning_rate=command.learning_rate * size)
            return replace(super().measure(own), command=command)
        return super().measure(command)


def advice_of(answer: Advice | Refusal) -> Advice:
    assert isinstance(answer, Advice), answer
    return answer


def codes_of(advice: Advice) -> set[str]:
    return {caveat.code for caveat in advice.caveats}


def view_of(**profile: Any) -> LogView:
    return LogView(a_request(), (a_device(),), (an_inspection(**profile),))


@given(SIZES, SIZES)
def test_the_rate_of_a_sum_takes_the_steps_of_the_means(size: int, reference: int) -> None:
    usual = {"dataset_size": 1 << 16, "reference_batch_size": reference, "optimizer": SGD}
    sum_view = view_of(**usual, batch_semantics=BatchSemantics.SUM)
    of_mean = scaled_rate(view_of(**usual), 0.05 * reference, size)
    of_sum = scaled_rate(sum_view, 0.05, size)
    assert size * of_sum == pytest.approx(of_mean)
    assert mean_loss_rate(sum_view, of_sum, size) == pytest.approx(of_mean)
    assert of_sum == pytest.approx(0.05)  # Linear in the batch, divided by it.


@given(SIZES, SIZES)
def test_adams_rate_does_not_depend_on_the_length_of_the_gradient(
    size: int, reference: int
) -> None:
    usual = {"reference_batch_size": reference, "optimizer": an_optimizer()}
    sum_view = view_of(**usual, batch_semantics=BatchSemantics.SUM)
    assert scaled_rate(sum_view, 0.05, size) == scaled_rate(view_of(**usual), 0.05, size)


def test_a_sum_is_searched_as_its_mean_is(recommend: Recommend) -> None:
    mean, mean_log = recommend(a_task(BatchSemantics.MEAN))
    task = a_task(BatchSemantics.SUM, reference_learning_rate=0.05 / 32)
    summing = SummingDevice(profile=task.profile, fixed_time_s=0.02, sample_time_s=2e-4)
    answer, log = recommend(summing)
    mean, advice = advice_of(mean), advice_of(answer)
    assert advice.effective_batch_size == mean.effective_batch_size
    assert advice.effective_batch_size != 32
    rate = advice.learning_rate * advice.effective_batch_size
    assert rate == pytest.approx(mean.learning_rate, rel=0.02)
    assert [c.effective_batch_size for c in trainings(log)] == [
        c.effective_batch_size for c in trainings(mean_log)
    ]
    assert advice.batch_semantics is BatchSemantics.SUM
    assert CaveatCode.LOSS_IS_SUM in codes_of(advice)
    assert CaveatCode.LOSS_IS_SUM not in codes_of(mean)
    for entry in log:
        if isinstance(entry.command, Train | Evaluate | Verify | RangeTest):
            assert entry.command.is_loss_sum
    assert "added, not divided" in advice.caveats[0].text


def trainings(log: Log) -> list[Train]:
    return [entry.command for entry in log if isinstance(entry.command, Train)]


def test_a_coupled_loss_is_never_accumulated_nor_ranked_by_training_losses(
    recommend: Recommend,
) -> None:
    task = a_task(BatchSemantics.COUPLED)
    request = a_request(memory_limit_bytes=task.limit_bytes, objective=Objective.MEMORY)
    answer, log = recommend(task, request)
    advice = advice_of(answer)
    assert trainings(log)
    assert all(command.accumulation_steps == 1 for command in trainings(log))
    assert advice.accumulation_steps == 1
    assert all(one.accumulation_steps == 1 for one in advice.alternatives)
    assert advice.noise_scale is None
    assert CaveatCode.LOSS_COUPLES_SAMPLES in codes_of(advice)
    usual = recommend(a_task(None), request)[0]
    assert advice_of(usual).accumulation_steps > 1


@pytest.mark.parametrize(
    ("semantics", "compares"),
    [
        (None, True),
        (BatchSemantics.MEAN, True),
        (BatchSemantics.SUM, True),
        (BatchSemantics.BATCH_NORMALISED, True),
        (BatchSemantics.WEIGHTED_MEAN, False),
        (BatchSemantics.COUPLED, False),
    ],
)
def test_training_losses_compare_where_a_batch_is_a_mean_or_a_sum(
    recommend: Recommend, semantics: BatchSemantics | None, compares: bool
) -> None:
    task = a_task(semantics)
    _, log = recommend(task)
    seen = tuple(
        replace(entry, outcome=replace(entry.outcome, train_losses=(1.0, 0.5)))
        if isinstance(entry.outcome, TrainRun)
        else entry
        for entry in log
    )
    request = a_request(memory_limit_bytes=task.limit_bytes)
    trials = TrialSearch(LogView(request, (a_device(),), seen)).trials.all
    assert trials
    assert all((trial.training is not None) is compares for trial in trials)


def test_a_coupled_batch_that_does_not_fit_is_refused_and_the_reason_given(
    recommend: Recommend,
) -> None:
    task = a_task(BatchSemantics.COUPLED)
    request = a_request(memory_limit_bytes=task.limit_bytes, effective_batch_size=2048)
    answer, _ = recommend(task, request)
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.NO_FIT
    assert "couples the samples" in answer.message
    assert advice_of(recommend(a_task(None), request)[0]).accumulation_steps > 1


def test_where_loss_fn_takes_steps_nothing_is_accumulated_and_no_speedup_given(
    recommend: Recommend,
) -> None:
    said = Caveat(code=CaveatCode.WEIGHTS_CHANGED_IN_LOSS, text="loss_fn changes weights.")
    task = a_task(BatchSemantics.MEAN, caveats=(said,))
    request = a_request(memory_limit_bytes=task.limit_bytes, objective=Objective.MEMORY)
    answer, log = recommend(task, request)
    advice = advice_of(answer)
    assert all(command.accumulation_steps == 1 for command in trainings(log))
    assert advice.accumulation_steps == 1
    assert advice.expected_speedup_over_reference is None
    assert said in advice.caveats


def test_a_weighted_mean_is_spoken_of_where_it_is_accumulated(recommend: Recommend) -> None:
    task = a_task(BatchSemantics.WEIGHTED_MEAN)
    request = a_request(memory_limit_bytes=task.limit_bytes, effective_batch_size=2048)
    advice = advice_of(recommend(task, request)[0])
    assert advice.accumulation_steps > 1
    assert CaveatCode.LOSS_IS_WEIGHTED_MEAN in codes_of(advice)
    usual = advice_of(recommend(a_task(BatchSemantics.MEAN), request)[0])
    assert CaveatCode.LOSS_IS_WEIGHTED_MEAN not in codes_of(usual)


def test_trials_that_no_checkpoint_continues_are_trained_in_one_piece(
    recommend: Recommend,
) -> None:
    _, log = recommend(a_task(BatchSemantics.MEAN, has_unsaved_state=True))
    commands = trainings(log)
    assert len({command.trial_number for command in commands}) > 2
    assert all(command.start_checkpoint is None and command.rung == 0 for command in commands)
    assert all(command.in_fresh_process for command in commands)
    _, usual = recommend(a_task(BatchSemantics.MEAN))
    assert any(command.start_checkpoint for command in trainings(usual))
    assert not any(command.in_fresh_process for command in trainings(usual))
    # In one piece, but for longer than a first rung.
    assert commands[0].step_count > trainings(usual)[0].step_count


@pytest.mark.parametrize(
    ("semantics", "optimizer", "words"),
    [
        (BatchSemantics.MEAN, SGD, "would follow in proportion to the batch."),
        (BatchSemantics.SUM, SGD, "would stay, as the sum grows."),
        (BatchSemantics.SUM, an_optimizer(), "would follow with the root of the batch."),
    ],
)
def test_a_batch_schedule_has_the_rate_of_its_loss(
    semantics: BatchSemantics, optimizer: OptimizerProfile, words: str
) -> None:
    view = view_of(batch_semantics=semantics, optimizer=optimizer)
    assert words in about_schedule(view).text


def test_a_batch_grows_in_place_of_a_decay_where_its_loss_is_a_mean(recommend: Recommend) -> None:
    names = {}
    for semantics in (BatchSemantics.MEAN, BatchSemantics.SUM, BatchSemantics.COUPLED):
        task = a_task(semantics, reference_learning_rate=0.5)
        request = a_request(memory_limit_bytes=task.limit_bytes, max_trials=1)
        advice = advice_of(recommend(task, request)[0])
        names[semantics] = {companion.name for companion in advice.companions}
    said = [s for s, companions in names.items() if "batch_size_at_decay" in companions]
    assert said == [BatchSemantics.MEAN]


def test_replicas_are_spoken_of(recommend: Recommend) -> None:
    for semantics, words in (
        (BatchSemantics.SUM, "averages over replicas"),
        (BatchSemantics.COUPLED, "its own micro-batch"),
    ):
        task = a_task(semantics)
        request = a_request(memory_limit_bytes=task.limit_bytes, world_size=2)
        assert words in advice_of(recommend(task, request)[0]).caveats[0].text
