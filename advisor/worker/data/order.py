"""Which samples are held out, and in which order the others are seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

import torch
from torch.utils.data import Sampler

from advisor.worker.data.source import MAX_HELD_OUT_SAMPLES

# The held-out samples are the same for every seed, so that losses can be compared across seeds.
_SPLIT_SEED = 20_021
_HELD_OUT_SHARE = 0.1


def split(size: int) -> tuple[torch.Tensor, list[int]]:
    """Return the training and the held-out indices of a data set of ``size`` samples.

    A tenth is held out, at most 1024 samples; of fewer than 10 samples none.
    """
    count = min(MAX_HELD_OUT_SAMPLES, int(size * _HELD_OUT_SHARE))
    shuffled = torch.randperm(
        size, generator=torch.Generator().manual_seed(_SPLIT_SEED), device="cpu"
    )
    return shuffled[count:].sort().values, sorted(shuffled[:count].tolist())


def thin_out(size: int, count: int) -> list[int]:
    """Return at most ``count`` indices below ``size``, evenly spaced from first to last."""
    if size <= count:
        return list(range(size))
    return [round(i * (size - 1) / (count - 1)) for i in range(count)]


class Order(Protocol):
    """The order of one epoch after another, each of as many samples."""

    @property
    def size(self) -> int:
        """Samples of an epoch, at least 1."""

    def epoch(self, number: int) -> list[int]:
        """Return the indices of an epoch, by its number alone."""


class Permutations:
    """One seeded permutation of all indices after another."""

    def __init__(self, indices: torch.Tensor, *, seed: int) -> None:
        self.size = len(indices)
        self._indices = indices
        self._seed = seed

    def epoch(self, number: int) -> list[int]:
        """Return the indices of an epoch."""
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, number))
        order = torch.randperm(self.size, generator=generator, device="cpu")
        permuted: list[int] = self._indices[order].tolist()
        return permuted


def epoch_seed(seed: int, number: int) -> int:
    """Return the seed of an epoch's order."""
    return seed * 1_000_003 + number


class EndlessBatches(Sampler[list[int]]):
    """Batches of indices without end: one epoch after another."""

    def __init__(self, order: Order, *, batch_size: int, first_sample: int = 0) -> None:
        self._order = order
        self._batch_size = batch_size
        self._first_sample = first_sample

    def __iter__(self) -> Iterator[list[int]]:
        samples = self._samples()
        while True:
            yield list(itertools.islice(samples, self._batch_size))

    def _samples(self) -> Iterator[int]:
        first_epoch, skip = divmod(self._first_sample, self._order.size)
        for epoch in itertools.count(first_epoch):
            yield from self._order.epoch(epoch)[skip:]
            skip = 0
