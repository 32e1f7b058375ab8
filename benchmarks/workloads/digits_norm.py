"""Handwritten digits, an MLP with batch normalisation, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from digits import build_dataset, build_eval_dataset
from torch import nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model", "build_optimizer"]

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 5e-3

WIDTH = 64


def build_model() -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in (8 * 8, WIDTH, WIDTH):
        layers += [nn.Linear(width, WIDTH, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
