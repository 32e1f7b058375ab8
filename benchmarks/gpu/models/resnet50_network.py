"""ResNet-50 with 25,557,032 parameters for a thousand classes, in bf16 and compiled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from scale import IS_COMPILED, IS_SMALL
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

PRECISION = "bf16"
SIDE, WIDTH, BLOCKS = (32, 8, (1, 1, 1, 1)) if IS_SMALL else (224, 64, (3, 4, 6, 3))
EXPANSION = 4
"""Channels that leave a block over those of its middle convolution."""
MOMENTUM = 0.9
WEIGHT_DECAY = 1e-4


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the side, up to its stride, and a batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1 pixels, added to what came in."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.reduce = _convolution(inputs, width, 1)
        self.convolve = _convolution(width, width, 3, stride)
        self.expand = _convolution(width, outputs, 1)
        is_same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = (
            nn.Identity() if is_same else _convolution(inputs, outputs, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = F.relu(self.convolve(F.relu(self.reduce(x))))
        return F.relu(self.expand(y) + self.shortcut(x))


def build_network(classes: int) -> nn.Module:
    """Return a stem, four stages of blocks and a linear layer, with fresh weights."""
    layers: list[nn.Module] = [
        _convolution(3, WIDTH, 7, stride=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
    ]  # fmt: skip
    channels = WIDTH
    for stage, count in enumerate(BLOCKS):
        width = WIDTH << stage
        for block in range(count):
            layers.append(Bottleneck(channels, width, stride=2 if stage and not block else 1))
            channels = EXPANSION * width
    network = nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )
    return cast(nn.Module, torch.compile(network)) if IS_COMPILED else network


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return SGD with ResNet's usual constants."""
    return torch.optim.SGD(params, lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
