"""An endless task whose data come as a stream that ends after 500 samples."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset


class Numbers(IterableDataset[tuple[Tensor, Tensor]]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(500):
            x = torch.randn(6, generator=generator)
            yield x, x.sum()[None]


def build_model() -> nn.Module:
    return nn.Linear(6, 1)


def build_dataset() -> Numbers:
    return Numbers()
