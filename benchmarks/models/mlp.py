"""A multilayer perceptron with dropout, for images of 28 x 28 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PIXELS = 784
CLASSES = 10


def build_model(width: int = 1024) -> nn.Module:
    """Return three linear layers with fresh weights."""
    return nn.Sequential(
        nn.Linear(PIXELS, width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(width, CLASSES),
    )


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return synthetic images and their classes."""
    return torch.randn(batch_size, PIXELS), torch.randint(CLASSES, (batch_size,))
