"""The colour of a photograph at a place: regression on Fourier features, Adam."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from photographs import pixels
from torch import Tensor, nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3

FREQUENCIES = 32


class Photograph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        frequencies = torch.randn(2, FREQUENCIES, generator=torch.Generator().manual_seed(0))
        self.register_buffer("frequencies", 12 * frequencies)
        self.layers = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, 96),
            nn.ReLU(),
            nn.Linear(96, 96),
            nn.ReLU(),
            nn.Linear(96, 3),
        )

    def forward(self, places: Tensor) -> Tensor:
        waves = places @ self.get_buffer("frequencies")
        result: Tensor = self.layers(torch.cat((waves.sin(), waves.cos()), dim=1))
        return result


def build_model() -> nn.Module:
    return Photograph()


def build_dataset() -> TensorDataset:
    return TensorDataset(*pixels(held_out=False))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(*pixels(held_out=True))


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr)
