"""A convolutional network with batch normalisation on Fashion-MNIST.

The 70,000 images of 28 x 28 pixels come from Debian's and Ubuntu's package
dataset-fashion-mnist. Try

    sudo apt-get install dataset-fashion-mnist
    bsadvise recommend examples/fashion_cnn.py
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

# The reference recipe.
REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3

DATA_DIR = Path("/usr/share/datasets/fashion-mnist")


class Fashion(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of an image, with pixels from 0 to 1, and the number of its class."""

    def __init__(self, part: str) -> None:
        # Stored as bytes, a quarter of the size of floats.
        self.images = _read(f"{part}-images-idx3-ubyte.gz", header_bytes=16).view(-1, 1, 28, 28)
        self.classes = _read(f"{part}-labels-idx1-ubyte.gz", header_bytes=8).long()

    def __len__(self) -> int:
        """Return how many pairs there are."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one pair."""
        return self.images[index].float() / 255, self.classes[index]


def build_model(width: int = 16) -> nn.Module:
    """Return the network with fresh weights; ``--set width=32`` makes it wider."""
    return nn.Sequential(
        *_convolution(1, width),
        *_convolution(width, 2 * width),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 10),
    )


def build_dataset() -> Dataset[tuple[Tensor, Tensor]]:
    """Return the training data: 60,000 images."""
    return Fashion("train")


def build_eval_dataset() -> Dataset[tuple[Tensor, Tensor]]:
    """Return the held-out data: 10,000 other images."""
    return Fashion("t10k")


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer; the advisor chooses ``lr``."""
    return torch.optim.AdamW(params, lr=lr)


# There is no loss_fn: for pairs with whole-number targets, cross-entropy is the default.


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Return layers that halve the height and the width of an image."""
    return [
        nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        # Its statistics are those of one micro-batch: accumulation does not change them.
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]


def _read(name: str, header_bytes: int) -> Tensor:
    path = DATA_DIR / name
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there. Install the data with: apt-get install dataset-fashion-mnist"
        )
    with gzip.open(path) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8, offset=header_bytes)
    return torch.tensor(data)
