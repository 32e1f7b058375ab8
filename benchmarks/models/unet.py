"""A U-Net for binary segmentation, with skip connections."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE = 48
KINDS = 2


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(4, outputs),
        nn.SiLU(),
    )


class UNet(nn.Module):
    """Two levels down, two up, with a bridge at each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_double(1, width), _double(width, 2 * width)])
        self.bottom = _double(2 * width, 4 * width)
        self.grow = nn.ModuleList(
            [
                nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2),
                nn.ConvTranspose2d(2 * width, width, 2, stride=2),
            ]
        )
        self.up = nn.ModuleList([_double(4 * width, 2 * width), _double(2 * width, width)])
        self.head = nn.Conv2d(width, KINDS, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of all classes for each pixel."""
        bridges: list[Tensor] = []
        for block in self.down:
            x = block(x)
            bridges.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([bridges.pop(), grow(x)], dim=1))
        scores: Tensor = self.head(x)
        return scores


def build_model(width: int = 8) -> nn.Module:
    """Return the network with fresh weights."""
    return UNet(width)


def make_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Return synthetic images and the class of each pixel."""
    images = torch.randn(batch_size, 1, SIDE, SIDE)
    return images, torch.randint(KINDS, (batch_size, SIDE, SIDE))
