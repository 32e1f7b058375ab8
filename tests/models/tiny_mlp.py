"""A small perceptron on four Gaussian clouds: SGD with momentum, the least that a file needs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

SAMPLES = 640
FEATURES = 16
CLASSES = 4

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05


def build_model(width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, CLASSES),
    )  # fmt: skip


def build_dataset() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, FEATURES, generator=generator)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    noise = torch.randn(SAMPLES, FEATURES, generator=generator)
    return TensorDataset(centres[labels] + 1.5 * noise, labels)


def build_optimizer(params: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=1e-4)
