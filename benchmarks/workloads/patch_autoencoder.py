"""Photograph patches: an autoencoder, SGD with momentum."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from photographs import SIDE, patches
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.01

PIXELS = SIDE * SIDE


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(PIXELS, 128),
        nn.GELU(),
        nn.Linear(128, 12),
        nn.Linear(12, 128),
        nn.GELU(),
        nn.Linear(128, PIXELS),
    )


def build_dataset() -> TensorDataset:
    return TensorDataset(patches(held_out=False))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(patches(held_out=True))


def loss_fn(model: nn.Module, batch: list[Tensor]) -> Tensor:
    (clean,) = batch
    return functional.mse_loss(model(clean), clean.flatten(1))


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
