"""The data of loaders that users make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
)

from advisor.worker.data.source import DataSource
from advisor.worker.data.user_loader import LoaderNames, open_loaders, shuffles
from advisor.worker.user.hooks import Hooks, UserCodeFailed

NAMES = LoaderNames(training="train_dataloader", held_out="val_dataloader")
NUMBERS = TensorDataset(torch.arange(100))


def opened(loader: object, held_out: object = None, seed: int = 3) -> DataSource:
    return open_loaders(loader, held_out, Hooks(Path(), "t.py", lambda _: None), seed, NAMES)


def taken(data: DataSource, count: int, batch_size: int = 10, first_sample: int = 0) -> list[int]:
    with closing(data.training_batches(batch_size, first_sample=first_sample)) as batches:
        found: list[int] = []
        while len(found) < count:
            found += next(batches)[0].tolist()
    return found[:count]


def test_batches_of_any_size_are_made_by_the_collate_function() -> None:
    def doubled(samples: list[Any]) -> Any:
        return (2 * torch.stack([x for (x,) in samples]),)

    data = opened(DataLoader(NUMBERS, batch_size=7, shuffle=True, collate_fn=doubled))
    assert sorted(taken(data, 90)) == sorted(set(taken(data, 90)))
    assert all(number % 2 == 0 for number in taken(data, 90))


def test_the_validation_loader_has_a_collate_function_of_its_own() -> None:
    def negative(samples: list[Any]) -> Any:
        return (-torch.stack([x for (x,) in samples]),)

    held_out = DataLoader(TensorDataset(torch.arange(1, 9)), batch_size=4, collate_fn=negative)
    data = opened(DataLoader(NUMBERS, batch_size=7), held_out)
    with closing(data.held_out_batches(8)) as batches:
        assert next(batches)[0].tolist() == [-1, -2, -3, -4, -5, -6, -7, -8]
    assert data.evaluation_size == 8
    assert sorted(taken(data, 100)) == list(range(100))


def test_stored_order_is_shuffled_and_told_of() -> None:
    loader = DataLoader(NUMBERS, batch_size=7)
    assert not shuffles(loader)
    assert taken(opened(loader), 90) != sorted(taken(opened(loader), 90))
    assert shuffles(DataLoader(NUMBERS, batch_size=7, shuffle=True))


def test_a_sampler_that_weighs_is_kept_and_follows_the_seed_alone() -> None:
    weights = [0.0] * 50 + [1.0] * 50
    sampler = WeightedRandomSampler(weights, 60, generator=torch.Generator())
    loader = DataLoader(NUMBERS, batch_size=4, sampler=sampler)
    first = taken(opened(loader), 200)
    assert min(first) >= 50
    assert len(set(first)) < 60
    torch.manual_seed(99)
    assert taken(opened(loader), 200, batch_size=7) == first
    assert taken(opened(loader), 100, first_sample=100) == first[100:]
    assert taken(opened(loader, seed=4), 200) != first


def test_what_is_drawn_leaves_the_generators_as_they_were() -> None:
    sampler = WeightedRandomSampler([1.0] * 100, 100)
    data = opened(DataLoader(NUMBERS, batch_size=4, sampler=sampler))
    state = torch.get_rng_state()
    with closing(data.training_batches(4)) as batches:
        next(batches)
        before = torch.get_rng_state()
        for _ in range(60):
            next(batches)
        assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter((torch.tensor(i),) for i in range(1000))


def test_a_stream() -> None:
    data = opened(DataLoader(Endless(), batch_size=5))
    assert data.dataset_size is None
    assert len(taken(data, 50)) == 50


class Pairs(Sampler[list[int]]):
    def __iter__(self) -> Iterator[list[int]]:
        return iter([[i, i + 1] for i in range(0, 100, 2)])

    def __len__(self) -> int:
        return 50


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (None, "is a NoneType"),
        ([DataLoader(NUMBERS), DataLoader(NUMBERS)], "is a list"),
        (DataLoader(NUMBERS, batch_sampler=Pairs()), "The loader's Pairs decides"),
        (DataLoader(NUMBERS, batch_size=None), "batch_size=None"),
        (DataLoader(TensorDataset(torch.zeros(0)), batch_size=2), "without samples"),
    ],
)
def test_loaders_whose_batches_cannot_be_of_another_size(loader: object, message: str) -> None:
    with pytest.raises(UserCodeFailed, match=message) as caught:
        opened(loader)
    assert caught.value.fault.hook == "train_dataloader"
    assert caught.value.fault.fix
