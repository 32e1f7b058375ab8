"""A masked letter from the sixteen around it: a transformer encoder, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from text import held_out_windows, training_windows, vocabulary_size
from torch import Tensor, nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 0.02

SIDE = 8
WIDTH = 48


class Middle(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, WIDTH)
        self.place = nn.Parameter(torch.randn(2 * SIDE, WIDTH) * 0.1)
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(2 * SIDE * WIDTH, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.encoder(self.token(x) + self.place).flatten(1))
        return result


def build_model() -> nn.Module:
    return Middle(vocabulary_size())


def build_dataset() -> TensorDataset:
    return _around(training_windows(2 * SIDE + 1, 5))


def build_eval_dataset() -> TensorDataset:
    return _around(held_out_windows(2 * SIDE + 1, 1024))


def _around(windows: Tensor) -> TensorDataset:
    return TensorDataset(
        torch.cat((windows[:, :SIDE], windows[:, SIDE + 1 :]), dim=1), windows[:, SIDE]
    )


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
