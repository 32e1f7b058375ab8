"""A stated training that the budget pays for is made itself: measured, not carried."""

from __future__ import annotations

import pytest
from bsadvise.model.caveats import CaveatCode
from bsadvise.model.commands import Train
from bsadvise.model.horizon import LengthUnit, TrainingLength
from bsadvise.model.measurements import TrainRun
from bsadvise.model.request import Objective
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from tests.planning.conftest import Recommend
from tests.support.stated_lengths import (
    LINEAR,
    advised,
    complete_trainings,
    epochs,
    final_loss,
    simulated_device,
)

BUDGET_S = 40.0
SHORT: dict[str, object] = {"train_for": epochs(6), "schedule": LINEAR, "budget_s": BUDGET_S}
"""A training of 1.5 s by the reference recipe, of 3,000 samples an epoch."""


def test_a_training_that_fits_the_budget_several_times_is_made_with_several_settings(
    recommend: Recommend,
) -> None:
    # Trials take 20 ms, of which starting them is most: that makes no long training slower.
    simulated = simulated_device(dataset_size=3_000)
    advice, log = advised(recommend, simulated, **SHORT)
    trained = complete_trainings(log)
    assert len(trained) >= 6
    assert len({one.effective_batch_size for one in trained}) >= 3
    for command in trained:
        size = command.effective_batch_size
        assert abs(command.step_count * size - 18_000) <= size
        assert command.stated_share == pytest.approx(1, abs=0.01)
    assert [one.complete_number for one in trained] == list(range(1, len(trained) + 1))
    assert advice.horizon is not None
    factors = advice.horizon.carried_factor, advice.horizon.batch_factor, advice.horizon.rate_factor
    assert all(factor == 1 for factor in factors)
    size, rate = advice.effective_batch_size, advice.learning_rate
    assert advice.expected_final_loss is not None
    measured = final_loss(simulated, size, rate, 18_000)
    assert advice.expected_final_loss.value == pytest.approx(measured)
    assert sum(entry.wall_s for entry in log) <= BUDGET_S


def test_the_advice_is_about_as_good_as_the_best_and_takes_no_longer_than_the_recipe(
    recommend: Recommend,
) -> None:
    simulated = simulated_device(dataset_size=3_000)
    advice, log = advised(recommend, simulated, **SHORT)
    runs = [entry.outcome for entry in log if entry.command in complete_trainings(log)]
    losses = [run.held_out_loss for run in runs if isinstance(run, TrainRun)]
    lowest = min(loss for loss in losses if loss is not None)
    assert advice.expected_final_loss is not None
    assert advice.expected_final_loss.value <= 1.03 * lowest
    size = advice.effective_batch_size
    assert simulated.step_time_s(size) / size <= 1.1 * simulated.step_time_s(32) / 32


def test_where_it_fits_a_few_times_it_is_made_with_what_short_ones_found(
    recommend: Recommend,
) -> None:
    advice, log = advised(
        recommend, simulated_device(), train_for=epochs(3), schedule=LINEAR, budget_s=60.0
    )
    shares = [one.stated_share or 0.0 for one in complete_trainings(log)]
    whole = [share for share in shares if share > 0.99]
    assert 1 <= len(whole) < len(shares)
    assert shares[-1] > 0.99
    assert advice.horizon is not None
    assert advice.horizon.carried_factor == 1
    assert advice.expected_final_loss is not None
    assert sum(entry.wall_s for entry in log) <= 60


def test_a_time_is_trained_for_by_each_batch(recommend: Recommend) -> None:
    simulated = simulated_device()
    length = TrainingLength(amount=2.0, unit=LengthUnit.SECONDS)
    advice, log = advised(recommend, simulated, train_for=length, schedule=LINEAR)
    for command in complete_trainings(log):
        size = command.effective_batch_size
        assert command.step_count * simulated.step_time_s(size) == pytest.approx(2, rel=0.02)
    assert advice.expected_final_loss is not None


def test_samples_alone_may_take_longer_than_the_recipe(recommend: Recommend) -> None:
    simulated = simulated_device(dataset_size=3_000)
    _, by_time = advised(recommend, simulated, **SHORT)
    smallest = min(one.effective_batch_size for one in complete_trainings(by_time))
    _, by_samples = advised(recommend, simulated, **SHORT, objective=Objective.SAMPLES)
    assert smallest >= 24
    assert complete_trainings(by_samples)


def test_no_second_value_of_a_hyperparameter_stands_beside_the_one_that_was_run(
    recommend: Recommend,
) -> None:
    adam = OptimizerProfile(
        optimizer_name="AdamW",
        family=OptimizerFamily.ADAM,
        betas=(0.9, 0.999),
        weight_decay=0.1,
    )
    simulated = simulated_device(dataset_size=3_000, optimizer=adam)
    advice, _ = advised(recommend, simulated, **SHORT)
    assert advice.effective_batch_size != 32
    assert advice.companions == ()
    assert (advice.weight_decay, advice.betas) == (0.1, (0.9, 0.999))


def test_want_of_time_comes_with_the_budget_that_ends_it(recommend: Recommend) -> None:
    simulated = simulated_device(dataset_size=6_000, fixed_time_s=0.1, learning_rate=0.001)
    asked = {"train_for": epochs(0.5), "schedule": LINEAR}
    advice, log = advised(recommend, simulated, **asked, budget_s=20.0)
    (said,) = [one for one in advice.caveats if one.code == CaveatCode.LENGTH_NOT_TRAINED]
    assert "for want of time" in said.text
    assert advice.outlook is not None
    assert "would pay for complete trainings" in advice.outlook
    assert not complete_trainings(log)
    budget_s = float(advice.outlook.split("about ")[1].split(" s ")[0])
    _, longer = advised(recommend, simulated, **asked, budget_s=1.1 * budget_s)
    assert complete_trainings(longer)


def test_first_steps_are_not_run_of_what_is_made_whole(recommend: Recommend) -> None:
    _, log = advised(recommend, simulated_device(dataset_size=3_000), **SHORT)
    on_schedule = [e for e in log if isinstance(e.command, Train) and e.command.schedule]
    assert len(on_schedule) == len(complete_trainings(log))
