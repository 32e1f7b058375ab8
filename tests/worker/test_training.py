from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest
import torch
from bsadvise.model.commands import Evaluate, Train
from bsadvise.model.horizon import ScheduleShape, StepSchedule
from bsadvise.model.measurements import Evaluation, FaultCode, TrainRun
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.worker.commands.training import means
from advisor.worker.loop.protocol import TrainingState
from tests.support.worker_bench import LIMIT_S, Bench, fault_of, outcome_of

TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=16, accumulation_steps=2, learning_rate=0.02,
    step_count=20, evaluation_batch_size=64,
)  # fmt: skip


def train(bench: Bench, model: str = "tiny_mlp", **changes: object) -> TrainRun:
    return outcome_of(bench.worker(model), replace(TRAIN, **changes), TrainRun)  # type: ignore[arg-type]


def test_training_learns(bench: Bench) -> None:
    for model in ("tiny_mlp", "tiny_cnn_bn", "tiny_gpt"):
        short = train(bench, model, step_count=2)
        long = train(bench, model, step_count=60)
        assert long.held_out_loss is not None
        assert short.held_out_loss is not None
        assert long.held_out_loss < 0.8 * short.held_out_loss
        assert long.sample_count == 60 * 32
        assert not long.diverged


def test_the_same_command_gives_the_same_figures_in_any_process(bench: Bench) -> None:
    for model in ("tiny_gpt", "ragged", "streamed"):
        assert train(bench, model) == train(bench, model)


def test_accumulation_changes_nothing_but_memory(bench: Bench) -> None:
    whole = train(bench, micro_batch_size=32, accumulation_steps=1)
    parts = train(bench, micro_batch_size=8, accumulation_steps=4)
    assert whole.train_losses == pytest.approx(parts.train_losses, rel=1e-4)
    assert whole.held_out_loss == pytest.approx(parts.held_out_loss, rel=1e-4)


def test_a_schedule_multiplies_the_rate_of_each_step(bench: Bench) -> None:
    schedule = StepSchedule(
        shape=ScheduleShape.LINEAR, total_steps=4, warmup_steps=2, decay_steps=2
    )
    multipliers = [schedule.multiplier(step) for step in range(4)]
    assert multipliers == [0.5, 1.0, 1.0, 0.5]
    worker, before = bench.worker("tiny_mlp"), None
    by_hand = train(bench, step_count=1)
    for step, multiplier in enumerate(multipliers):
        one = replace(
            TRAIN, step_count=1, learning_rate=0.02 * multiplier, start_checkpoint=before,
            save_checkpoint=f"step-{step}",
        )  # fmt: skip
        by_hand, before = outcome_of(worker, one, TrainRun), f"step-{step}"
    whole = train(bench, step_count=4, schedule=schedule)
    assert whole.held_out_loss == pytest.approx(by_hand.held_out_loss, rel=1e-6)
    assert whole.held_out_loss != train(bench, step_count=4).held_out_loss


def test_evaluations_on_the_way_show_the_losses_of_shorter_trainings(bench: Bench) -> None:
    evaluated = train(bench, step_count=20, evaluation_steps=(4, 10))
    shorter = [train(bench, step_count=count).held_out_loss for count in (4, 10)]
    assert evaluated.earlier_losses == pytest.approx(shorter, rel=1e-5)
    assert evaluated.held_out_loss == pytest.approx(train(bench).held_out_loss, rel=1e-5)


def test_evaluations_after_a_divergence_are_not_made(bench: Bench) -> None:
    run = train(bench, learning_rate=1e30, step_count=20, evaluation_steps=(1, 10))
    assert run.diverged
    assert len(run.earlier_losses) <= 1


@pytest.mark.parametrize("model", ["tiny_mlp", "tiny_cnn_bn", "tiny_gpt", "streamed"])
def test_two_rungs_are_one_training_bit_for_bit(bench: Bench, model: str) -> None:
    # tiny_gpt has dropout: its second rung must draw what the whole training draws there.
    whole = train(bench, model, step_count=20, evaluation_steps=(8,))
    first = train(bench, model, step_count=8, save_checkpoint="trial")
    second = train(
        bench, model, step_count=12, start_checkpoint="trial", first_sample=first.sample_count,
        rung=1,
    )  # fmt: skip
    assert second.held_out_loss == whole.held_out_loss
    assert first.train_losses + second.train_losses == whole.train_losses


def test_a_resumed_training_takes_its_own_rate_and_the_saved_momentum(
    bench: Bench,
) -> None:
    train(bench, save_checkpoint="reference")
    losses = {
        rate: train(bench, start_checkpoint="reference", learning_rate=rate, step_count=10)
        for rate in (1e-9, 0.02)
    }
    reference = outcome_of(
        bench.worker("tiny_mlp"),
        Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=50, checkpoint="reference"),
        Evaluation,
    )
    assert losses[1e-9].held_out_loss == pytest.approx(reference.held_out_loss, rel=1e-4)
    assert losses[0.02].held_out_loss != pytest.approx(reference.held_out_loss, rel=1e-2)


def test_a_checkpoint_is_whole_or_not_there(bench: Bench) -> None:
    train(bench, save_checkpoint="reference")
    files = list((bench.directory / "checkpoints").iterdir())
    assert [file.name for file in files] == ["reference.pt"]
    saved = torch.load(files[0], weights_only=True)
    assert set(saved) == {field.name for field in dataclasses.fields(TrainingState)}


def test_a_checkpoint_that_is_not_there_is_our_fault_and_no_crash(bench: Bench) -> None:
    command = replace(TRAIN, start_checkpoint="nowhere")
    assert fault_of(bench.worker("tiny_mlp"), command).code is FaultCode.WORKER


@pytest.mark.parametrize("name", ["../reference", "a/b", ""])
def test_a_checkpoint_stays_in_its_directory(bench: Bench, name: str) -> None:
    fault = fault_of(bench.worker("tiny_mlp"), replace(TRAIN, save_checkpoint=name, step_count=1))
    assert fault.code is FaultCode.WORKER
    assert "not the name of a checkpoint" in fault.message


def test_divergence_ends_training_early_and_is_no_fault(bench: Bench) -> None:
    run = train(bench, "streamed", learning_rate=1e30, step_count=50, save_checkpoint="end")
    assert run.diverged
    assert run.step_count < 50
    assert run.held_out_loss is None
    assert all(math.isfinite(loss) for loss in run.train_losses)
    assert not (bench.directory / "checkpoints" / "end.pt").exists()


def test_a_loss_that_is_not_a_number_is_divergence(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            return [(torch.ones(4), torch.ones(1))] * 40

        def loss_fn(model, batch):
            return model(batch[0]).mean() * float("nan")
    """)
    run = outcome_of(bench.worker(), TRAIN, TrainRun)
    assert run.diverged
    assert run.step_count == 1
    assert run.train_losses == ()


def test_synthetic_data_have_no_held_out_loss(bench: Bench) -> None:
    run = train(bench, "synthetic")
    assert run.held_out_loss is None
    assert not run.diverged


def test_the_users_measure_wins(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            return [(torch.ones(4), torch.ones(1))] * 100

        def evaluate(model, loader):
            assert not model.training and not torch.is_grad_enabled()
            return torch.tensor(float(sum(len(x) for x, y in loader) + len(loader)))
    """)
    run = outcome_of(bench.worker(), replace(TRAIN, evaluation_batch_size=4), TrainRun)
    assert run.held_out_loss == 10 + 3


def test_the_held_out_loss_is_a_mean_over_samples(bench: Bench) -> None:
    command = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=7)
    worker = bench.worker("tiny_mlp")
    odd = outcome_of(worker, command, Evaluation)
    whole = outcome_of(worker, replace(command, evaluation_batch_size=64), Evaluation)
    assert odd.held_out_loss == pytest.approx(whole.held_out_loss, rel=1e-5)


def test_an_evaluation_says_how_long_it_took(bench: Bench) -> None:
    command = Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=64)
    evaluation_s = outcome_of(bench.worker("tiny_mlp"), command, Evaluation).evaluation_s
    assert evaluation_s is not None
    assert evaluation_s > 0


def _train_to_target(bench: Bench, *losses: float, target_loss: float | None = 1.0) -> TrainRun:
    """Train for ten steps, each evaluated: the losses found are ``losses``, in order."""
    bench.write(f"""
        import torch

        LOSSES = iter({[*losses, *losses[-1:] * 10]})

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            return [(torch.ones(4), torch.ones(1))] * 100

        def evaluate(model, loader):
            return next(LOSSES)
    """)
    command = replace(
        TRAIN, step_count=10, evaluation_steps=tuple(range(1, 10)), target_loss=target_loss
    )
    return outcome_of(bench.worker(), command, TrainRun)


def test_training_ends_at_the_third_evaluation_at_the_target(bench: Bench) -> None:
    run = _train_to_target(bench, 5.0, 3.0, 0.9, 0.9, 0.9)
    assert run.step_count == 5
    assert run.sample_count == 5 * 32
    assert run.earlier_losses == (5.0, 3.0, 0.9, 0.9, 0.9)
    assert run.held_out_loss == 0.9
    assert not run.diverged


def test_one_low_evaluation_ends_nothing(bench: Bench) -> None:
    run = _train_to_target(bench, 5.0, 0.1, 5.0, 5.0, 0.9, 5.0, 0.9, 0.9, 5.0)
    assert run.step_count == 10
    assert run.earlier_losses == (5.0, 0.1, 5.0, 5.0, 0.9, 5.0, 0.9, 0.9, 5.0)


def test_two_low_evaluations_are_too_few(bench: Bench) -> None:
    assert _train_to_target(bench, 0.1, 0.1, 5.0).step_count == 10


def test_evaluations_are_judged_by_their_mean(bench: Bench) -> None:
    assert _train_to_target(bench, 5.0, 1.2, 0.9, 0.9, 5.0).step_count == 4


def test_without_a_target_all_steps_are_taken(bench: Bench) -> None:
    assert _train_to_target(bench, 0.1, target_loss=None).step_count == 10


@pytest.mark.parametrize("model", ["tiny_mlp", "tiny_gpt"])
def test_a_replicate_is_another_training_that_can_be_made_again(bench: Bench, model: str) -> None:
    runs = [train(bench, model, replicate=number, step_count=5) for number in (0, 1, 2)]
    again = [train(bench, model, replicate=number, step_count=5) for number in (0, 1, 2)]
    assert runs == again
    assert len({run.train_losses for run in runs}) == 3
    assert runs[0] == train(bench, model, step_count=5)


def test_a_replicate_has_weights_of_its_own(bench: Bench) -> None:
    fresh = outcome_of(
        bench.worker("tiny_mlp"),
        Evaluate(time_limit_s=LIMIT_S, evaluation_batch_size=64),
        Evaluation,
    ).held_out_loss
    own, other = (
        train(bench, learning_rate=1e-12, step_count=1, replicate=number).held_out_loss
        for number in (0, 1)
    )
    assert own == pytest.approx(fresh, rel=1e-5)
    assert other != pytest.approx(fresh, rel=1e-3)


def test_a_replicate_has_a_data_order_of_its_own(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            model = torch.nn.Linear(1, 1)
            torch.nn.init.zeros_(model.weight)
            torch.nn.init.zeros_(model.bias)
            return model

        def build_dataset():
            return [(torch.ones(1), torch.full((1,), float(i))) for i in range(100)]
    """)
    epoch = replace(
        TRAIN, micro_batch_size=1, accumulation_steps=1, learning_rate=1e-12, step_count=50
    )
    own, again, other = (
        outcome_of(bench.worker(), replace(epoch, replicate=number), TrainRun).train_losses
        for number in (0, 0, 1)
    )
    assert own == again
    assert own != other
    assert len(set(other)) == 50  # An epoch's beginning: no sample comes twice.


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_losses_are_thinned_to_means_that_keep_the_mean(values: list[float]) -> None:
    thinned = means(values, 64)
    assert len(thinned) == min(64, len(values))
    if len(values) % 64 == 0 and values:
        assert math.fsum(thinned) / 64 == pytest.approx(
            math.fsum(values) / len(values), rel=1e-6, abs=1e-3
        )
    if len(values) <= 64:
        assert list(thinned) == pytest.approx(values)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains(bench: Bench, precision: str) -> None:
    bench.write(f"""
        import torch
        PRECISION = "{precision}"

        def build_model():
            return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1))

        def build_dataset():
            x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
            return torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    """)
    run = outcome_of(bench.worker(), replace(TRAIN, step_count=60, save_checkpoint="end"), TrainRun)
    assert run.train_losses[-1] < 0.5 * run.train_losses[0]
    outcome_of(bench.worker(), replace(TRAIN, start_checkpoint="end"), TrainRun)
