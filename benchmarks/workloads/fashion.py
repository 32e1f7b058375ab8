"""Fashion-MNIST, 70,000 images of clothes: the data of two workloads.

They come with Debian's package dataset-fashion-mnist, which holds 10,000 of them out.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
_MEAN, _DEVIATION = 0.286, 0.353
"""Of the training pixels, which are from 0 to 1."""


@cache
def build_dataset() -> TensorDataset:
    """Return the training data: images of shape 60000 x 1 x 28 x 28 and their classes."""
    return TensorDataset(*_part("train"))


@cache
def build_eval_dataset() -> TensorDataset:
    """Return the held-out data."""
    return TensorDataset(*_part("t10k"))


def _part(name: str) -> tuple[Tensor, Tensor]:
    images = _read(f"{name}-images-idx3-ubyte.gz", header_bytes=16).view(-1, 1, 28, 28)
    classes = _read(f"{name}-labels-idx1-ubyte.gz", header_bytes=8).long()
    return (images.float() / 255 - _MEAN) / _DEVIATION, classes


def _read(name: str, header_bytes: int) -> Tensor:
    path = DIRECTORY / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: install Debian's package dataset-fashion-mnist")
    with gzip.open(path) as file:
        data = np.frombuffer(file.read(), dtype=np.uint8, offset=header_bytes)
    return torch.tensor(data)
