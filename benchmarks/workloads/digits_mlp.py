"""Handwritten digits, an MLP, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from digits import build_dataset, build_eval_dataset
from torch import nn

__all__ = ["build_dataset", "build_eval_dataset", "build_model", "build_optimizer"]

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.01


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
