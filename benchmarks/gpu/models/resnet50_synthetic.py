"""ResNet-50 on random pixels."""

from __future__ import annotations

import torch
from resnet50_network import (  # noqa: F401 - names of the model file
    PRECISION,
    SIDE,
    build_network,
    build_optimizer,
)
from torch import Tensor, nn

CLASSES = 1000


def build_model() -> nn.Module:
    """Return ResNet-50 with fresh weights."""
    return build_network(CLASSES)


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return images of shape batch x 3 x side x side, and their classes."""
    return torch.randn(batch_size, 3, SIDE, SIDE), torch.randint(CLASSES, (batch_size,))
