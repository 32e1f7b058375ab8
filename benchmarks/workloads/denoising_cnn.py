"""Denoising of photograph patches: a convolutional network, RMSprop."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from photographs import patches
from torch import nn
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 16
REFERENCE_LR = 5e-4

NOISE = 0.1


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
    )


def build_dataset() -> TensorDataset:
    return _noisy(held_out=False)


def build_eval_dataset() -> TensorDataset:
    return _noisy(held_out=True)


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(params, lr=lr)


def _noisy(*, held_out: bool) -> TensorDataset:
    clean = patches(held_out=held_out)[:, None]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return TensorDataset(clean + NOISE * noise, clean)
