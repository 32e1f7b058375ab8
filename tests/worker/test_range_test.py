"""The range test of the worker: what it trains, when it ends, and what it leaves as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from bsadvise.model.commands import RangeTest, Train
from bsadvise.model.measurements import OutOfMemory, RangeRun, TrainRun
from hypothesis import given
from hypothesis import strategies as st

from advisor.worker.commands.range_test import has_risen
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

RANGE_TEST = RangeTest(
    time_limit_s=LIMIT_S, micro_batch_size=32, accumulation_steps=1,
    smallest_learning_rate=1e-5, largest_learning_rate=1e-1, step_count=40,
)  # fmt: skip
TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=32, accumulation_steps=1, learning_rate=1e-3,
    step_count=5, evaluation_batch_size=64,
)  # fmt: skip

DIVERGING = """
    import torch

    def build_model():
        return torch.nn.Linear(4, 1)

    def build_dataset():
        x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.TensorDataset(x, 3 * x.sum(1, keepdim=True))

    def build_optimizer(params, lr):
        weight, bias = params
        return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.5 * lr}], lr=lr)
"""


def run(bench: Bench, model: str | None = "tiny_mlp", **changes: float) -> RangeRun:
    return outcome_of(bench.worker(model), replace(RANGE_TEST, **changes), RangeRun)  # type: ignore[arg-type]


def test_the_rate_grows_by_one_factor_to_the_largest(bench: Bench) -> None:
    found = run(bench)
    assert not found.diverged
    assert found.learning_rates[0] == 1e-5
    assert found.learning_rates[-1] == pytest.approx(1e-1)
    ratios = [b / a for a, b in zip(found.learning_rates, found.learning_rates[1:], strict=False)]
    assert ratios == pytest.approx([10 ** (4 / 39)] * 39)
    assert min(found.train_losses) < 0.9 * found.train_losses[0]


def test_the_rates_told_are_those_that_train(bench: Bench) -> None:
    # A range of next to no width is a training at one rate: the same samples, the same weights.
    rate = TRAIN.learning_rate
    narrow = run(
        bench, smallest_learning_rate=rate, largest_learning_rate=rate * (1 + 1e-9), step_count=5
    )
    trained = outcome_of(bench.worker("tiny_mlp"), TRAIN, TrainRun)
    assert narrow.train_losses == pytest.approx(trained.train_losses, rel=1e-5)


def test_later_trainings_are_as_if_it_had_not_been(bench: Bench) -> None:
    for model in ("tiny_gpt", "streamed"):
        alone = outcome_of(bench.worker(model), TRAIN, TrainRun)
        worker = bench.worker(model)
        outcome_of(worker, RANGE_TEST, RangeRun)
        assert outcome_of(worker, TRAIN, TrainRun) == alone


def test_it_ends_once_the_loss_has_risen_for_good(bench: Bench) -> None:
    bench.write(DIVERGING)
    found = run(bench, None, largest_learning_rate=1e4, step_count=200)
    assert found.diverged
    assert len(found.train_losses) < 190
    assert all(map(math.isfinite, found.train_losses))
    # Plain least squares of curvature about 2 diverges from a rate of about 1 on.
    assert 0.3 < found.learning_rates[-1] < 30


def test_a_loss_that_is_not_finite_is_left_out(bench: Bench) -> None:
    bench.write(DIVERGING)
    found = run(bench, None, largest_learning_rate=1e40, step_count=12)
    assert found.diverged
    assert 0 < len(found.train_losses) < 12


def test_it_ends_when_its_time_is_over(bench: Bench) -> None:
    found = run(bench, stop_after_s=1e-9)
    assert len(found.train_losses) == 1
    assert not found.diverged


def test_a_batch_that_does_not_fit_is_out_of_memory(bench: Bench) -> None:
    worker = bench.worker("tiny_mlp", limit_bytes=1 << 16)
    outcome_of(worker, RANGE_TEST, OutOfMemory)


@given(st.lists(st.floats(-1.0, 1.0), min_size=5, max_size=60), st.floats(-100, 100))
def test_noise_about_a_level_is_no_rise(noise: list[float], level: float) -> None:
    steady = [0.0, 1.0, -1.0, 0.0, 0.0]
    assert not has_risen([level + x for x in (*steady, *noise)])


@pytest.mark.parametrize("level", [-50.0, 0.0, 50.0])
def test_growth_without_end_is_a_rise(level: float) -> None:
    assert has_risen([level + 2.0**i for i in range(20)])
