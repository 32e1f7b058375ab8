"""ResNet-50 on real pixels: sections of the two photographs that come with scikit-learn.

A section's class is the photograph and the cell of a grid that it begins in.
"""

from __future__ import annotations

from functools import cache

import torch
from resnet50_network import (  # noqa: F401 - names of the model file
    PRECISION,
    SIDE,
    build_network,
    build_optimizer,
)
from scale import IS_SMALL
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05

GRID = 4
CLASSES = 2 * GRID * GRID
STRIDE = 32 if IS_SMALL else 6
"""Pixels from one section to the next in training; those held out begin half-way between."""


@cache
def _photographs() -> tuple[Tensor, ...]:
    """Return both, of shape 3 x height x width, of bytes."""
    return tuple(
        torch.tensor(image).permute(2, 0, 1).contiguous() for image in load_sample_images().images
    )


class Sections(Dataset[tuple[Tensor, int]]):
    """Squares of the photographs, from -1 to 1, with their classes."""

    def __init__(self, first: int, stride: int) -> None:
        self._corners = [
            (number, top, left)
            for number, photograph in enumerate(_photographs())
            for top in range(first, photograph.shape[1] - SIDE, stride)
            for left in range(first, photograph.shape[2] - SIDE, stride)
        ]

    def __len__(self) -> int:
        """Return how many sections there are."""
        return len(self._corners)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return a section, of shape 3 x side x side, and its class."""
        number, top, left = self._corners[index]
        photograph = _photographs()[number]
        _, height, width = photograph.shape
        row, column = GRID * top // (height - SIDE), GRID * left // (width - SIDE)
        pixels = photograph[:, top : top + SIDE, left : left + SIDE]
        return pixels.float() / 127.5 - 1, (number * GRID + row) * GRID + column


def build_model() -> nn.Module:
    """Return ResNet-50 with fresh weights."""
    return build_network(CLASSES)


def build_dataset() -> Sections:
    """Return the sections to train on."""
    return Sections(first=0, stride=STRIDE)


def build_eval_dataset() -> Sections:
    """Return the sections that are held out, a sixteenth as many."""
    return Sections(first=STRIDE // 2, stride=4 * STRIDE)
