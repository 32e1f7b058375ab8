"""Sorted data are found to be sorted, shuffled ones are not; and no training notices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bsadvise.model.commands import CompareOrders, Train
from bsadvise.model.measurements import GradientNorms, OrderComparison, TrainRun

from advisor.estimators.data_order import OrderEffect, estimate_order_effect
from advisor.worker.commands.execution import Worker
from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

DIGITS = """
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    class Stream(torch.utils.data.IterableDataset):
        def __init__(self, samples):
            self.samples = samples

        def __iter__(self):
            return iter(self.samples)

    def build_model():
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))

    def build_dataset():
        data = load_digits()
        images = torch.tensor(data.data, dtype=torch.float32) / 16
        digits = torch.tensor(data.target)
        order = {order}
        samples = torch.utils.data.TensorDataset(images[order], digits[order])
        return {dataset}

    def build_eval_dataset():
        return torch.utils.data.TensorDataset(torch.zeros(20, 64), torch.arange(20) % 10)
"""
SORTED = "digits.argsort()"
SHUFFLED = "torch.randperm(len(digits))"  # The job's seed decides.
KINDS = ("samples", "Stream(samples)")

COMPARE = CompareOrders(
    time_limit_s=LIMIT_S, batch_size=32, batch_count=16, shuffle_count=2, most_read_samples=2000
)
TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=16, accumulation_steps=2, learning_rate=0.01,
    step_count=5, evaluation_batch_size=20, measure_noise=True,
)  # fmt: skip


def effect_of(worker: Worker, command: CompareOrders = COMPARE) -> OrderEffect | None:
    comparison = outcome_of(worker, command, OrderComparison)
    assert comparison.stored is not None
    assert comparison.shuffled is not None
    stored, shuffled = _pairs(comparison.stored), _pairs(comparison.shuffled)
    assert (len(stored), len(shuffled)) == (1, command.shuffle_count)
    batch_count = comparison.stored.big_batch_size // comparison.stored.small_batch_size
    return estimate_order_effect(command.batch_size, batch_count, stored[0], shuffled)


def _pairs(norms: GradientNorms) -> list[tuple[float, float]]:
    return list(zip(norms.small_squared_norms, norms.big_squared_norms, strict=True))


@pytest.mark.parametrize("dataset", KINDS)
def test_digits_that_are_sorted_by_label_warn(bench: Bench, dataset: str) -> None:
    bench.write(DIGITS.format(order=SORTED, dataset=dataset))
    for seed in range(20):
        effect = effect_of(bench.worker(seed=seed))
        assert effect is not None
        assert effect.is_unrepresentative
        assert effect.worth(32) < 8


WINDOWS = """
    import torch
    from torch import nn

    class Windows(torch.utils.data.Dataset):
        def __init__(self):
            dice = torch.Generator().manual_seed(4)
            drift = torch.randn(2000, generator=dice).cumsum(0) / 5
            self.values = drift + torch.randn(2000, generator=dice) / 4

        def __len__(self):
            return 1970

        def __getitem__(self, start):
            return self.values[start:start + 24], self.values[start + 24:start + 30]

    def build_model():
        return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 6))

    def build_dataset():
        return {dataset}
"""
IN_ORDER = "Windows()"
DRAWN = "torch.utils.data.Subset(Windows(), torch.randperm(1970).tolist())"


@pytest.mark.parametrize("batch_size", [8, 32])
@pytest.mark.parametrize("dataset", [IN_ORDER, DRAWN])
def test_windows_of_a_series_warn_where_they_follow_one_another(
    bench: Bench, dataset: str, batch_size: int
) -> None:
    """At the smallest batch too, which is all that a budget of 20 s may have time for."""
    bench.write(WINDOWS.format(dataset=dataset))
    for seed in range(5):
        effect = effect_of(bench.worker(seed=seed), replace(COMPARE, batch_size=batch_size))
        assert effect is not None
        assert effect.is_unrepresentative is (dataset == IN_ORDER)


@pytest.mark.parametrize("dataset", KINDS)
def test_digits_that_are_shuffled_do_not_warn(bench: Bench, dataset: str) -> None:
    bench.write(DIGITS.format(order=SHUFFLED, dataset=dataset))
    for seed in range(20):
        effect = effect_of(bench.worker(seed=seed))
        assert effect is not None
        assert not effect.is_unrepresentative


@pytest.mark.parametrize("dataset", KINDS)
def test_a_training_is_the_same_after_a_comparison(bench: Bench, dataset: str) -> None:
    bench.write(DIGITS.format(order=SORTED, dataset=dataset))
    alone = outcome_of(bench.worker(), TRAIN, TrainRun)
    worker = bench.worker()
    outcome_of(worker, COMPARE, OrderComparison)
    assert outcome_of(worker, TRAIN, TrainRun) == alone


def test_a_comparison_is_the_same_when_it_is_made_again(bench: Bench) -> None:
    bench.write(DIGITS.format(order=SORTED, dataset="samples"))
    worker = bench.worker()
    first = outcome_of(worker, COMPARE, OrderComparison)
    outcome_of(worker, TRAIN, TrainRun)
    assert outcome_of(worker, COMPARE, OrderComparison) == first


def test_both_orders_hold_the_same_samples(bench: Bench) -> None:
    source = DIGITS.format(order=SORTED, dataset="samples").replace("nn.Dropout(0.1), ", "")
    bench.write(source)
    comparison = outcome_of(bench.worker(), COMPARE, OrderComparison)
    assert comparison.stored is not None
    assert comparison.shuffled is not None
    mean = comparison.stored.big_squared_norms[0]
    assert comparison.shuffled.big_squared_norms == pytest.approx((mean, mean), rel=1e-3)


@pytest.mark.parametrize("dataset", KINDS)
def test_of_too_few_samples_nothing_is_said(bench: Bench, dataset: str) -> None:
    bench.write(DIGITS.format(order="slice(0, 255)", dataset=dataset))
    comparison = outcome_of(bench.worker(), COMPARE, OrderComparison)
    assert comparison == OrderComparison()
    assert effect_of(bench.worker(), replace(COMPARE, batch_size=8)) is not None


def test_of_gradients_that_are_not_finite_nothing_is_said(bench: Bench) -> None:
    source = DIGITS.format(order=SORTED, dataset="samples").replace("/ 16", "/ 0")
    bench.write(source)
    assert outcome_of(bench.worker(), COMPARE, OrderComparison) == OrderComparison()
