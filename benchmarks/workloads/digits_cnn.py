"""Handwritten digits, a convolutional network with batch normalisation, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from digits import build_dataset, build_eval_dataset
from torch import nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model", "build_optimizer"]

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 0.01


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
