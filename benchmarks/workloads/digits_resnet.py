"""Handwritten digits, a residual network with batch normalisation, AdamW."""

from __future__ import annotations

from digits import build_dataset, build_eval_dataset
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["build_dataset", "build_eval_dataset", "build_model"]

REFERENCE_BATCH_SIZE = 128
REFERENCE_LR = 5e-4

WIDTH = 16


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(WIDTH)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(x + self.second_norm(self.second(y)))


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 3, stride=2, padding=1),
        nn.ReLU(),
        Block(),
        Block(),
        nn.Flatten(),
        nn.Linear(16 * WIDTH, 10),
    )
