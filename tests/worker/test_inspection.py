from __future__ import annotations

import os

import pytest
from bsadvise.model.commands import InspectTask
from bsadvise.model.task import BatchSemantics, OptimizerFamily, OptimizerProfile, TaskProfile

from tests.support.worker_bench import ABSENT_CARD, LIMIT_S, Bench, outcome_of

INSPECT = InspectTask(time_limit_s=LIMIT_S)


def inspect(bench: Bench, model: str | None = None) -> TaskProfile:
    return outcome_of(bench.worker(model), INSPECT, TaskProfile)


def test_every_figure_of_a_small_task_is_right(bench: Bench) -> None:
    assert inspect(bench, "tiny_mlp") == TaskProfile(
        model_name="Sequential",
        parameter_count=16 * 64 + 64 + 64 * 64 + 64 + 64 * 4 + 4,
        trainable_parameter_count=5508,
        parameter_bytes=4 * 5508,
        buffer_bytes=0,
        batch_norm_layer_count=0,
        optimizer=OptimizerProfile(
            optimizer_name="SGD",
            family=OptimizerFamily.SGD,
            default_learning_rate=1e-3,
            weight_decay=1e-4,
            momentum=0.9,
        ),
        dataset_size=640,
        evaluation_size=64,
        sample_shapes="float32[16], int64[]",
        reference_batch_size=32,
        reference_learning_rate=0.05,
        cpu_count=len(os.sched_getaffinity(0)),
        batch_semantics=BatchSemantics.MEAN,
    )


def test_adams_settings_are_reported(bench: Bench) -> None:
    optimizer = inspect(bench, "tiny_gpt").optimizer
    assert optimizer.family is OptimizerFamily.ADAM
    assert optimizer.betas == (0.9, 0.95)
    assert optimizer.epsilon == 1e-8
    assert optimizer.momentum is None


def test_batch_norm_and_the_users_held_out_set_are_seen(bench: Bench) -> None:
    profile = inspect(bench, "tiny_cnn_bn")
    assert profile.batch_norm_layer_count == 2
    assert profile.evaluation_size == 120
    assert profile.buffer_bytes == 2 * (8 + 16) * 4 + 2 * 8


def test_ragged_samples_streams_and_synthetic_batches_are_told_apart(bench: Bench) -> None:
    ragged = inspect(bench, "ragged")
    assert ragged.longest_sample == 123
    assert ragged.sample_shapes == "tokens int64[37], label int64[]"
    stream = inspect(bench, "streamed")
    assert (stream.dataset_size, stream.is_stream) == (500, True)
    assert not stream.is_synthetic
    synthetic = inspect(bench, "synthetic")
    assert synthetic.is_synthetic
    assert synthetic.precision == "bf16"
    assert (synthetic.dataset_size, synthetic.evaluation_size) == (None, 0)


@pytest.mark.parametrize(
    ("optimizer", "family"),
    [
        ("torch.optim.SGD(params, lr)", OptimizerFamily.SGD),
        ("torch.optim.RMSprop(params, lr)", OptimizerFamily.ADAM),
        ("torch.optim.NAdam(params, lr)", OptimizerFamily.ADAM),
        ("type('Adam8bit', (torch.optim.Adam,), {})(params, lr)", OptimizerFamily.ADAM),
        ("torch.optim.Rprop(params, lr)", OptimizerFamily.OTHER),
    ],
)
def test_optimizers_are_known_by_kin(bench: Bench, optimizer: str, family: OptimizerFamily) -> None:
    bench.write(f"""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def make_batch(batch_size):
            return torch.ones(batch_size, 4), torch.ones(batch_size, 1)

        def build_optimizer(params, lr):
            return {optimizer}
    """)
    assert inspect(bench).optimizer.family is family


def test_oddities_are_pointed_out(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            return [(torch.full((4,), float("inf")), torch.ones(1))] * 5

        def build_optimizer(params, lr):
            return torch.optim.SGD(params, lr=0.5)
    """)
    caveats = " ".join(caveat.text for caveat in inspect(bench).caveats)
    assert "does not use its `lr`" in caveats
    assert "too few samples" in caveats
    assert "loss of fresh weights" in caveats


def test_a_loss_that_only_some_batches_have_is_pointed_out(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def build_dataset():
            labelled = torch.arange(400) % 30 == 7
            return torch.utils.data.TensorDataset(torch.ones(400, 4), labelled)

        def loss_fn(model, batch):
            x, labelled = batch
            return model(x)[labelled].square().mean()
    """)
    profile = inspect(bench)
    (told,) = [c.text for c in profile.caveats if c.code == "first_loss_not_finite"]
    assert "nan, and " in told
    assert "mean over an empty selection" in told


def test_for_a_card_that_is_not_here_nothing_is_run(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.Linear(4, 1)

        def make_batch(batch_size):
            return torch.ones(batch_size, 4), torch.ones(batch_size, 1)

        def loss_fn(model, batch):
            raise AssertionError("was run")
    """)
    outcome_of(bench.worker(device=ABSENT_CARD), INSPECT, TaskProfile)


def test_a_rate_that_is_a_tensor_is_used(bench: Bench) -> None:
    bench.write(
        """
        import torch
        def build_model():
            return torch.nn.Linear(4, 3)
        def build_dataset():
            return torch.utils.data.TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
        def build_optimizer(params, lr):
            return torch.optim.Adam(params, lr=torch.tensor(lr))
        """
    )
    assert inspect(bench).caveats == ()


def test_the_rates_of_parameter_groups_are_told(bench: Bench) -> None:
    bench.write(
        """
        import torch
        def build_model():
            return torch.nn.Linear(4, 3)
        def build_dataset():
            return torch.utils.data.TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
        def build_optimizer(params, lr):
            weight, bias = params
            groups = [{"params": [weight], "lr": 0.1 * lr}, {"params": [bias]}]
            return torch.optim.SGD(groups, lr)
        """
    )
    (caveat,) = inspect(bench).caveats
    assert caveat.code == "group_rates_differ"
    assert caveat.text.endswith("kept in every trial: 0.1, 1.")
