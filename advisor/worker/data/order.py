"""Which samples are held out, and in which order the others are seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

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


class EndlessBatches(Sampler[list[int]]):
    """Batches of indices without end: one seeded permutation of all indices after another."""

    def __init__(
        self, indices: torch.Tensor, *, batch_size: int, seed: int, first_sample: int = 0
    ) -> None:
        self._indices = indices
        self._batch_size = batch_size
        self._seed = seed
        self._first_sample = first_sample

    def __iter__(self) -> Iterator[list[int]]:
        samples = self._samples()
        while True:
            yield list(itertools.islice(samples, self._batch_size))

    def _samples(self) -> Iterator[int]:
        first_epoch, skip = divmod(self._first_sample, len(self._indices))
        for epoch in itertools.count(first_epoch):
            yield from self._epoch(epoch)[skip:]
            skip = 0

    def _epoch(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        permuted: list[int] = self._indices[
            torch.randperm(len(self._indices), generator=generator, device="cpu")
        ].tolist()
        return permuted
