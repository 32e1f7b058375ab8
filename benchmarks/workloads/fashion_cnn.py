"""Clothes, a convolutional network with batch normalisation, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from fashion import build_dataset, build_eval_dataset
from torch import nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model", "build_optimizer"]

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 0.01


def build_model() -> nn.Module:
    return nn.Sequential(
        *_layer(1, 8), *_layer(8, 16), *_layer(16, 32), nn.Flatten(), nn.Linear(32 * 16, 10)
    )


def _layer(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Return layers that halve an image's sides."""
    return [
        nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=5e-4)
