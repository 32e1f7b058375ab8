"""Next-letter prediction, a recurrent network, Adam."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from text import held_out_windows, training_windows, vocabulary_size
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 1e-3

CONTEXT = 24


class CharGRU(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, 32)
        self.recurrent = nn.GRU(32, 96, batch_first=True)
        self.head = nn.Linear(96, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.recurrent(self.token(x))[0])
        return result


def build_model() -> nn.Module:
    return CharGRU(vocabulary_size())


def build_dataset() -> TensorDataset:
    return TensorDataset(training_windows(CONTEXT + 1, 12))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(held_out_windows(CONTEXT + 1, 256))


def loss_fn(model: nn.Module, batch: list[Tensor]) -> Tensor:
    (codes,) = batch
    return functional.cross_entropy(model(codes[:, :-1]).flatten(0, 1), codes[:, 1:].flatten())


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr)
