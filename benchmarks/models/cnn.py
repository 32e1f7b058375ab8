"""A plain convolutional network with batch norm, trained by SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

SIDE = 32
CLASSES = 10


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def build_model(width: int = 24) -> nn.Module:
    """Return three blocks of convolution and a linear layer."""
    return nn.Sequential(
        _block(3, width),
        _block(width, 2 * width),
        _block(2 * width, 4 * width),
        nn.Flatten(),
        nn.Linear(4 * width * (SIDE // 8) ** 2, CLASSES),
    )


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return synthetic images and their classes."""
    return torch.randn(batch_size, 3, SIDE, SIDE), torch.randint(CLASSES, (batch_size,))


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer."""
    return torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=5e-4)
