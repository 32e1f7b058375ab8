"""Advice for a stated length and schedule: the ladder, and what it is carried to."""

from __future__ import annotations

import pytest
from bsadvise.model.advice import Confidence
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import RecallAnswers, Train
from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    ScheduleShape,
    StepSchedule,
    TrainingLength,
)
from bsadvise.model.measurements import TrainRun
from bsadvise.model.values import Unknown

from tests.planning.conftest import Recommend
from tests.support.builders import a_request
from tests.support.stated_lengths import (
    LINEAR,
    advised,
    complete_trainings,
    epochs,
    final_loss,
    simulated_device,
)


def test_every_trial_is_a_complete_training_and_the_answer_names_its_steps(
    recommend: Recommend,
) -> None:
    advice, log = advised(
        recommend, simulated_device(), train_for=epochs(90), schedule=LINEAR, budget_s=60.0
    )
    trained = complete_trainings(log)
    assert len(trained) >= 3
    for command in trained:
        assert command.schedule is not None
        assert command.step_count == command.schedule.total_steps == command.schedule.decay_steps
        assert command.start_checkpoint is None
    horizon = advice.horizon
    assert horizon is not None
    assert horizon.total_steps == round(90 * 50_000 / advice.effective_batch_size)
    assert horizon.decay_steps == horizon.total_steps
    assert horizon.source == "request"
    assert horizon.carried_factor is not None
    assert advice.verified
    assert advice.expected_final_loss is None  # It was carried.


def test_the_cost_is_kept_to_a_share_of_the_training_and_to_the_budget(
    recommend: Recommend,
) -> None:
    simulated = simulated_device()
    length = TrainingLength(amount=1e6, unit=LengthUnit.SAMPLES)
    _, log = advised(recommend, simulated, train_for=length, schedule=LINEAR, budget_s=100.0)
    own_s = 1e6 / 32 * simulated.step_time_s(32)
    on_schedule = [e for e in log if isinstance(e.command, Train) and e.command.schedule]
    spent_s = sum(entry.wall_s for entry in on_schedule)
    assert spent_s <= max(0.05 * own_s, 5.0) + 1e-6
    assert sum(entry.wall_s for entry in log) <= 100


@pytest.mark.parametrize("noise", [1.0, 100.0])
@pytest.mark.parametrize("rate", [0.005, 0.4])
def test_the_advised_training_is_faster_than_the_recipe_and_does_not_diverge(
    recommend: Recommend, noise: float, rate: float
) -> None:
    simulated = simulated_device(gradient_noise=noise, learning_rate=rate)
    samples = 4 * 50_000.0
    advice, _ = advised(recommend, simulated, train_for=epochs(4), schedule=LINEAR)

    def time_s(batch_size: int) -> float:
        return samples / batch_size * simulated.step_time_s(batch_size)

    ours = final_loss(simulated, advice.effective_batch_size, advice.learning_rate, samples)
    in_that_time = time_s(advice.effective_batch_size) / time_s(32) * samples
    assert ours < final_loss(simulated, 32, rate, in_that_time)


def test_a_peak_rate_that_only_a_short_training_survives_is_notadvised(
    recommend: Recommend,
) -> None:
    # Above 2 over the largest curvature, 1, each step at the peak makes the loss larger.
    simulated = simulated_device(gradient_noise=1.0, learning_rate=0.05)
    advice, log = advised(recommend, simulated, train_for=epochs(4), schedule=LINEAR)
    survived = [
        entry.command.learning_rate
        for entry in log
        if isinstance(entry.command, Train)
        and entry.command in complete_trainings(log)
        and isinstance(entry.outcome, TrainRun)
        and not entry.outcome.diverged
    ]
    assert max(survived) > 2
    assert advice.learning_rate < 2


def test_what_is_carried_far_is_never_of_high_confidence(recommend: Recommend) -> None:
    length = TrainingLength(amount=1e9, unit=LengthUnit.SAMPLES)
    advice, _ = advised(recommend, simulated_device(), train_for=length, schedule=LINEAR)
    assert advice.horizon is not None
    assert advice.horizon.carried_factor is not None
    assert advice.horizon.carried_factor > 16
    assert advice.confidence is not Confidence.HIGH
    assert CaveatCode.CARRIED_TO_LENGTH in {one.code for one in advice.caveats}


def test_the_file_says_how_long_where_the_request_does_not(recommend: Recommend) -> None:
    simulated = simulated_device(training_length=epochs(9))
    advice, _ = advised(recommend, simulated)
    assert advice.horizon is not None
    assert advice.horizon.source == "file"
    assert advice.horizon.epochs == pytest.approx(9, rel=0.01)
    asked, _ = advised(recommend, simulated, train_for=epochs(3))
    assert asked.horizon is not None
    assert asked.horizon.epochs == pytest.approx(3, rel=0.01)


def test_a_schedule_without_a_length_is_said_to_change_nothing(recommend: Recommend) -> None:
    advice, log = advised(recommend, simulated_device(), schedule=LINEAR)
    assert CaveatCode.SCHEDULE_WITHOUT_LENGTH in {one.code for one in advice.caveats}
    assert not complete_trainings(log)


def test_epochs_of_a_stream_are_not_counted(recommend: Recommend) -> None:
    simulated = simulated_device(dataset_size=None)
    advice, log = advised(recommend, simulated, train_for=epochs(3))
    assert advice.horizon is None
    assert CaveatCode.LENGTH_NOT_COUNTED in {one.code for one in advice.caveats}
    assert not complete_trainings(log)


def test_a_training_too_long_for_the_budget_says_that_none_was_made(recommend: Recommend) -> None:
    simulated = simulated_device(fixed_time_s=0.5)
    advice, _ = advised(recommend, simulated, train_for=epochs(90), schedule=LINEAR, budget_s=20.0)
    assert advice.horizon is not None
    assert advice.horizon.carried_factor is None
    assert CaveatCode.LENGTH_NOT_TRAINED in {one.code for one in advice.caveats}


def test_a_time_gives_each_batch_its_own_steps(recommend: Recommend) -> None:
    simulated = simulated_device()
    length = TrainingLength(amount=600.0, unit=LengthUnit.SECONDS)
    advice, _ = advised(recommend, simulated, train_for=length, schedule=LINEAR)
    assert advice.horizon is not None
    assert advice.horizon.time_s == pytest.approx(600, rel=0.02)


def test_a_plan_made_again_from_any_part_of_its_log_goes_on_the_same(recommend: Recommend) -> None:
    request = a_request(
        memory_limit_bytes=simulated_device().limit_bytes, train_for=epochs(90), schedule=LINEAR
    )
    answer, log = recommend(simulated_device(), request)
    for length in range(0, len(log), 5):
        simulated = simulated_device()
        for entry in log[:length]:
            assert not isinstance(entry.command, RecallAnswers | Unknown)
            simulated.measure(entry.command)  # Checkpoints outlive a daemon.
        again, full = recommend(simulated, request, log=log[:length])
        assert full == log
        assert again == answer


@pytest.mark.parametrize(
    ("schedule", "multipliers"),
    [
        (LearningRateSchedule(), [1, 1, 1, 1]),
        (LINEAR, [1, 0.75, 0.5, 0.25]),
        (
            LearningRateSchedule(shape=ScheduleShape.LINEAR, final_share=0.5),
            [1, 0.875, 0.75, 0.625],
        ),
        (LearningRateSchedule(shape=ScheduleShape.WSD, decay_share=0.5), [1, 1, 1, 0.5]),
        (LearningRateSchedule(warmup_steps=2), [0.5, 1, 1, 1]),
        (LearningRateSchedule(warmup_share=0.5), [0.5, 1, 1, 1]),
    ],
)
def test_rates_follow_the_schedule(
    schedule: LearningRateSchedule, multipliers: list[float]
) -> None:
    steps: StepSchedule = schedule.over(4)
    assert [steps.multiplier(step) for step in range(4)] == pytest.approx(multipliers)


@pytest.mark.parametrize("budget_s", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("amount", [5, 90])
@pytest.mark.parametrize("wall_factor", [1.2, 4.0])
def test_a_budget_that_pays_for_no_start_still_has_an_answer(
    recommend: Recommend, budget_s: float, amount: int, wall_factor: float
) -> None:
    simulated = simulated_device(dataset_size=6_000, wall_factor=wall_factor)
    advice, _ = advised(recommend, simulated, train_for=epochs(amount), budget_s=budget_s)
    assert advice.verified
    is_reference = (advice.effective_batch_size, advice.learning_rate) == (32, 0.05)
    is_said = CaveatCode.REFERENCE_ADVISED in {one.code for one in advice.caveats}
    assert is_said is is_reference


@pytest.mark.parametrize("step_s", [0.01, 0.1])
@pytest.mark.parametrize("rate", [0.001, 0.05])
def test_trials_for_a_training_of_few_steps_do_not_drive_the_rate_to_zero(
    recommend: Recommend, step_s: float, rate: float
) -> None:
    simulated = simulated_device(dataset_size=6_000, fixed_time_s=step_s, learning_rate=rate)
    advice, _ = advised(recommend, simulated, train_for=epochs(0.5), budget_s=20.0)
    assert advice.learning_rate >= rate / 2
    is_short = step_s < 0.1  # The whole training fits the budget several times.
    assert (advice.expected_final_loss is not None) is is_short
    assert (advice.confidence is Confidence.LOW) is not is_short
    is_not_trained = CaveatCode.LENGTH_NOT_TRAINED in {one.code for one in advice.caveats}
    assert is_not_trained is not is_short
