"""Handwritten digits read row by row: an LSTM, Adam."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from digits import build_dataset, build_eval_dataset
from torch import Tensor, nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model", "build_optimizer"]

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3

SIDE, WIDTH = 8, 48


class RowReader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.LSTM(SIDE, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, images: Tensor) -> Tensor:
        _, (hidden, _) = self.rows(images[:, 0])
        result: Tensor = self.head(hidden[-1])
        return result


def build_model() -> nn.Module:
    return RowReader()


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr)
