"""Handwritten digits with shifted copies: the data of several workloads.

The 1,797 images come with scikit-learn. Each is taken as it is and shifted by a pixel in four
directions. The last 397 images, unshifted, are held out.
"""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import TensorDataset

TRAINING_IMAGES = 1400
_SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


@cache
def training_images() -> tuple[Tensor, Tensor]:
    """Return images of shape 7000 x 1 x 8 x 8, from 0 to 1, and their digits."""
    images, digits = _load()
    images, digits = images[:TRAINING_IMAGES], digits[:TRAINING_IMAGES]
    moved = [torch.roll(images, shift, dims=(2, 3)) for shift in _SHIFTS]
    return torch.cat(moved), digits.repeat(len(_SHIFTS))


@cache
def held_out_images() -> tuple[Tensor, Tensor]:
    """Return images of shape 397 x 1 x 8 x 8, from 0 to 1, and their digits."""
    images, digits = _load()
    return images[TRAINING_IMAGES:], digits[TRAINING_IMAGES:]


def build_dataset() -> TensorDataset:
    """Return the training data."""
    return TensorDataset(*training_images())


def build_eval_dataset() -> TensorDataset:
    """Return the held-out data."""
    return TensorDataset(*held_out_images())


def _load() -> tuple[Tensor, Tensor]:
    data = load_digits()
    # A fixed shuffle: the file is ordered by who wrote the digits.
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    return images[order], torch.tensor(data.target, dtype=torch.int64)[order]
