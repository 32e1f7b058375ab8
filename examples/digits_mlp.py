"""A multilayer perceptron on handwritten digits, trained by SGD with momentum.

The 1,797 images of 8 x 8 pixels come with scikit-learn, so nothing is downloaded. Try

    bsadvise recommend examples/digits_mlp.py

This is an ordinary Python file. The advisor looks for the names below; it needs
``build_model`` and ``build_dataset``; the others are optional.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

# The reference recipe; the advisor's expected speedup is relative to it.
REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.01

EVAL_COUNT = 360


def build_model(width: int = 256) -> nn.Module:
    """Return the network with fresh weights; ``--set width=512`` makes it wider."""
    return nn.Sequential(
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


def build_dataset() -> TensorDataset:
    """Return the training data: pairs of an image and its digit."""
    images, digits = _load()
    return TensorDataset(images[EVAL_COUNT:], digits[EVAL_COUNT:])


def build_eval_dataset() -> TensorDataset:
    """Return the held-out data, which is not trained on."""
    images, digits = _load()
    return TensorDataset(images[:EVAL_COUNT], digits[:EVAL_COUNT])


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Return the optimizer; the advisor chooses ``lr``."""
    return torch.optim.SGD(params, lr=lr, momentum=0.9)


# There is no loss_fn: for pairs with whole-number targets, cross-entropy is the default.


def _load() -> tuple[Tensor, Tensor]:
    data = load_digits()
    images = torch.tensor(data.data, dtype=torch.float32) / 16  # Pixels are from 0 to 16.
    digits = torch.tensor(data.target, dtype=torch.int64)
    # One fixed shuffle: the images are sorted by writer.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order], digits[order]
