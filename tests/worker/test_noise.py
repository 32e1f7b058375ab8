"""Gradients whose mean and variance are known must be measured as they are."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest
from bsadvise.model.commands import Train
from bsadvise.model.measurements import GradientNorms, TrainRun

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

# The gradient of each sample is the sample itself: mean (1, 1, …), variance 4 in each of 25.
FILE = """
    import torch
    from torch import nn

    class Weights(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.zeros(25))

        def forward(self, x):
            return x @ self.weights

    def build_model():
        return Weights()

    def build_dataset():
        noise = torch.randn(20_000, 25, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.TensorDataset(1 + 2 * noise)

    def loss_fn(model, batch):
        return model(batch[0]).mean()

    def build_optimizer(params, lr):
        return {optimizer}
"""
SQUARED_NORM = 25.0
VARIANCE = 4.0 * 25
TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=8, learning_rate=1e-6,
    step_count=400, evaluation_batch_size=512, measure_noise=True,
)  # fmt: skip


def measure(bench: Bench, optimizer: str, **changes: int) -> GradientNorms:
    bench.write(FILE.format(optimizer=optimizer))
    run = outcome_of(bench.worker(), replace(TRAIN, **changes), TrainRun)  # type: ignore[arg-type]
    assert run.gradient_norms is not None
    return run.gradient_norms


def test_planted_mean_and_variance_are_recovered(bench: Bench) -> None:
    norms = measure(bench, "torch.optim.SGD(params, lr)")
    small, big = (
        statistics.mean(norms.small_squared_norms),
        statistics.mean(norms.big_squared_norms),
    )
    assert (norms.small_batch_size, norms.big_batch_size) == (4, 32)
    assert len(norms.big_squared_norms) == 400
    assert small == pytest.approx(SQUARED_NORM + VARIANCE / 4, rel=0.05)
    assert big == pytest.approx(SQUARED_NORM + VARIANCE / 32, rel=0.05)
    assert [norm**2 for norm in norms.raw_norms] == pytest.approx(norms.big_squared_norms)
    variance = (small - big) / (1 / 4 - 1 / 32)
    assert variance == pytest.approx(VARIANCE, rel=0.1)


@pytest.mark.parametrize(
    "optimizer",
    ["torch.optim.AdamW(params, lr, betas=(0.9, 0.99))", "torch.optim.RMSprop(params, lr)"],
)
def test_adams_gradients_are_measured_as_it_steps(bench: Bench, optimizer: str) -> None:
    # v settles at the mean square of the accumulated gradient: 1 + 4/32 in each place.
    norms = measure(bench, optimizer, step_count=600)
    settled = slice(300, None)
    small = statistics.mean(norms.small_squared_norms[settled])
    big = statistics.mean(norms.big_squared_norms[settled])
    scale = 1 + 4 / 32
    assert len(norms.big_squared_norms) == 599  # The first step has no v yet.
    assert small == pytest.approx((SQUARED_NORM + VARIANCE / 4) / scale, rel=0.15)
    assert big == pytest.approx((SQUARED_NORM + VARIANCE / 32) / scale, rel=0.15)
    raw = statistics.mean(norm**2 for norm in norms.raw_norms)
    assert len(norms.raw_norms) == 600
    assert raw == pytest.approx(SQUARED_NORM + VARIANCE / 32, rel=0.05)


@pytest.mark.parametrize(
    "optimizer",
    ["torch.optim.AdamW(params, lr)", "torch.optim.RMSprop(params, lr)"],
)
def test_a_place_whose_gradients_have_just_begun_does_not_drown_the_others(
    bench: Bench, optimizer: str
) -> None:
    # One of 25 places has no gradient until a model that has seen 200 batches of 4 lets it through.
    late = FILE.replace(
        "return x @ self.weights",
        "self.seen = getattr(self, 'seen', 0) + self.training\n"
        "            open_ = (torch.arange(25) + (self.seen > 200)).clamp(max=1)\n"
        "            return x @ (self.weights * open_)",
    )
    bench.write(late.format(optimizer=optimizer))
    run = outcome_of(bench.worker(), replace(TRAIN, step_count=50), TrainRun)
    assert run.gradient_norms is not None
    usual = statistics.median(run.gradient_norms.small_squared_norms)
    assert max(run.gradient_norms.small_squared_norms[1:]) < 100 * usual


def test_measuring_changes_nothing(bench: Bench) -> None:
    bench.write(FILE.format(optimizer="torch.optim.AdamW(params, lr)"))
    short = replace(TRAIN, step_count=10, learning_rate=0.1)
    with_noise = outcome_of(bench.worker(), short, TrainRun)
    without = outcome_of(bench.worker(), replace(short, measure_noise=False), TrainRun)
    assert replace(with_noise, gradient_norms=None) == without
